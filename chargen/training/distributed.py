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

from chargen.errors import ChargenError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)  # for which one process waits for another, which may be evaluating


@dataclass(frozen=True)
class Ranks:
    """One of the processes of a training; `ALONE` is the only one of its training."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"  # on which tensors are sent

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

        message = torch.tensor(values, dtype=torch.float64, device=self.device)
        with _peer_errors():
            distributed.broadcast(message, 0)
        return tuple(message.tolist())

    def any_rank(self, own: bool) -> bool:
        """Whether `own` is true in any of the processes."""
        if self.size == 1:
            return own
        import torch
        from torch import distributed

        message = torch.tensor(int(own), device=self.device)
        with _peer_errors():
            distributed.all_reduce(message)
        return bool(message)

    def broadcast_object(self, make: Callable[[], T]) -> T:
        """Calls `make` in the main process; returns its result in all of them."""
        if self.size == 1:
            return make()
        import torch
        from torch import distributed

        message = [make() if self.is_main else None]
        with _peer_errors():
            distributed.broadcast_object_list(message, 0, device=torch.device(self.device))
        return message[0]  # type: ignore[return-value]

    def barrier(self) -> None:
        """Waits until all processes have come here."""
        self.any_rank(False)


ALONE = Ranks()


@contextmanager
def join() -> Iterator[Ranks]:
    """Joins the processes that torchrun has started, for as long as the `with` block lasts.

    Without torchrun, this process is alone. Raises ChargenError in the block where another process
    has ended.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    import torch
    import torch.distributed.nn
    from torch import distributed

    # Imported before there is a group: the functions of torch.distributed.nn take the group of all
    # processes as a default argument. Imported later, by an optimiser, say, they would hold it for
    # good, and its threads, alive when Python ends, could abort the process ("terminate called
    # without …").
    rank = int(os.environ["RANK"])
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend, device = "nccl", "cuda"
    else:
        backend, device = "gloo", "cpu"
    with _peer_errors():
        distributed.init_process_group(backend, timeout=TIMEOUT)
    try:
        ranks = Ranks(rank, size, device)
        yield ranks
        ranks.barrier()  # a process that left now could cut off what another is still receiving
    finally:
        distributed.destroy_process_group()


@contextmanager
def _peer_errors() -> Iterator[Any]:
    """Turns the error that torch raises where another process has ended into one sentence."""
    try:
        yield
    except RuntimeError as error:
        raise ChargenError(
            "another process of this training has ended; what was saved before is complete",
            "continue with {resume}",
        ) from error
