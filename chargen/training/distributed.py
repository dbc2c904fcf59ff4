"""Data-parallel training in several processes: the rank of this one, and how they communicate.

`torchrun --nproc-per-node 2 -m chargen train corpus.txt` starts the same command twice. Each process
reads its own lanes from beginning to end, so recurrent states are never exchanged; the gradients are
averaged at every step. The main process decides all that depends on a clock, a measurement or a
signal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from chargen.errors import ChargenError, DeviceError, first_line

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)  # for which one process waits for another, which may be evaluating
_TORCHRUN = "start the processes with torchrun, or unset WORLD_SIZE to train in one"


@dataclass(frozen=True)
class Ranks:
    """One of the processes of a training; `ALONE` is the only one of its training."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among those on the same machine

    @property
    def is_main(self) -> bool:
        """Whether this is the process that decides, saves and prints."""
        return self.rank == 0

    def lanes(self, batch: int) -> slice:
        """Returns the slice of `batch` lanes that this process reads.

        Raises ChargenError where they cannot be divided evenly.
        """
        if batch % self.size:
            raise ChargenError(
                f"{batch} lanes cannot be shared by {self.size} processes",
                f"take a {{batch}} that is a multiple of {self.size}, "
                f"such as {-(-batch // self.size) * self.size}",
            )
        share = batch // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def average(self, tensors: list[Tensor]) -> None:
        """Replaces each of `tensors`, in place, by its mean over all processes."""
        if self.size == 1:
            return
        import torch
        from torch import distributed

        flat = torch.cat([tensor.flatten() for tensor in tensors])  # one message instead of many
        with _peer_errors():
            distributed.all_reduce(flat)
        flat /= self.size
        start = 0
        for tensor in tensors:
            part = flat[start : start + tensor.numel()]
            tensor.copy_(part.view_as(tensor))
            start += tensor.numel()

    def all_gather(self, part: Tensor) -> Tensor:
        """All-gathers the shards (1, b, H) into the whole batch (1, B, H)."""
        if self.size == 1:
            return part
        import torch
        from torch import distributed

        parts = [torch.empty_like(part) for _ in range(self.size)]
        with _peer_errors():
            distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts, 1)

    def broadcast(self, *values: float) -> tuple[float, ...]:
        """Returns the values of the main process."""
        if self.size == 1:
            return values
        import torch
        from torch import distributed

        message = torch.tensor(values, dtype=torch.float64)
        with _peer_errors():
            distributed.broadcast(message, 0)
        return tuple(message.tolist())

    def any_rank(self, own: bool) -> bool:
        """Whether `own` is true in any of the processes."""
        if self.size == 1:
            return own
        import torch
        from torch import distributed

        message = torch.tensor(int(own))
        with _peer_errors():
            distributed.all_reduce(message)
        return bool(message)

    def broadcast_object(self, make: Callable[[], T]) -> T:
        """Calls `make` in the main process; returns its result in all of them."""
        if self.size == 1:
            return make()
        from torch import device, distributed

        message = [make() if self.is_main else None]
        with _peer_errors():
            distributed.broadcast_object_list(message, 0, device=device("cpu"))
        return message[0]  # type: ignore[return-value]

    def barrier(self) -> None:
        """Waits until all processes have come here."""
        self.any_rank(False)


ALONE = Ranks()


@contextmanager
def join(device: str = "auto") -> Iterator[Ranks]:
    """Joins the processes that torchrun has started, for as long as the `with` block lasts.

    Without torchrun, this process is alone. `device` is the name of the device to train on, as
    `find_device` takes it. Raises ChargenError for variables that torchrun would not have set, where
    there are fewer GPUs than processes, where the processes cannot connect to each other, and in the
    block where another one has ended.
    """
    size = _variable("WORLD_SIZE", least=1, default=1)
    if size == 1:
        yield ALONE
        return
    rank = _variable("RANK", most=size - 1)
    local_rank = _variable("LOCAL_RANK", most=size - 1, default=0)
    _variable("MASTER_PORT", least=1, most=65535)
    if not os.environ.get("MASTER_ADDR"):
        raise ChargenError("WORLD_SIZE is set, but MASTER_ADDR is not", _TORCHRUN)
    if device == "mps":
        raise ChargenError(f"{size} processes cannot share a Metal GPU", "take {device} cpu")
    import torch
    import torch.distributed.nn
    from torch import distributed

    # Imported before there is a group: the functions of torch.distributed.nn take the group of all
    # processes as a default argument. Imported later, by an optimiser, say, they would hold it for
    # good, and its threads, alive when Python ends, could abort the process ("terminate called
    # without …").
    backend = "gloo"
    if device != "cpu" and torch.cuda.is_available():
        if local_rank >= (gpus := torch.cuda.device_count()):
            raise DeviceError(
                f"process {local_rank + 1} of this machine has no GPU of its own: there are {gpus}",
                f"start {gpus} on it, or take {{device}} cpu",
            )
        torch.cuda.set_device(local_rank)
        if distributed.is_nccl_available():  # not on Windows
            backend = "cpu:gloo,cuda:nccl"  # numbers that decide are on the CPU, gradients on the GPU
    try:
        distributed.init_process_group(backend, timeout=TIMEOUT, rank=rank, world_size=size)
    except (OSError, RuntimeError, ValueError) as error:
        raise DeviceError(
            f"the {size} processes of this training cannot connect to each other: {first_line(error)}"
        ) from error
    try:
        ranks = Ranks(rank, size, local_rank)
        yield ranks
        ranks.barrier()  # a process that left now could cut off what another is still receiving
    finally:
        distributed.destroy_process_group()


def _variable(name: str, least: int = 0, most: int | None = None, default: int | None = None) -> int:
    """Returns the whole number from `least` to `most` that a variable of torchrun holds.

    Raises ChargenError for any other value, and for a variable that is not set and has no `default`.
    """
    value = os.environ.get(name, "").strip()
    if not value and default is not None:
        return default
    if not value:
        raise ChargenError(f"WORLD_SIZE is set, but {name} is not", _TORCHRUN)
    number = int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else -1
    if number < least or (most is not None and number > most):
        bounds = f"from {least}" + ("" if most is None else f" to {most}")
        raise ChargenError(f"{name} is {value!r}, and must be a whole number {bounds}", _TORCHRUN)
    return number


@contextmanager
def _peer_errors() -> Iterator[Any]:
    """Turns the error that torch raises where another process has ended into one sentence."""
    try:
        yield
    except RuntimeError as error:
        raise ChargenError(
            f"another process of this training has ended ({first_line(error)}); what was saved before "
            "is complete",
            "continue with {resume}",
        ) from error
