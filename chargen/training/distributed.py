"""The processes of one training, side by side: which this one is, and what they tell each other.

`torchrun --nproc-per-node 2 -m chargen train corpus.txt` starts the same command twice. Each process
reads lanes of its own, which it keeps, so that no state ever crosses; the gradients are averaged at
every step, and all that is decided by a clock, a measurement or a signal is decided by the first.
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
PATIENCE = timedelta(minutes=30)  # that one waits for another, which may be evaluating


@dataclass(frozen=True)
class Ranks:
    """One of several processes; `ALONE` is the only one."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"  # where tensors must be to be sent

    @property
    def is_main(self) -> bool:
        """Whether this is the one that decides, writes and speaks."""
        return self.rank == 0

    def lanes(self, batch: int) -> slice:
        """Which of so many lanes are this one's; raises ChargenError where they cannot be shared."""
        if batch % self.size:
            raise ChargenError(
                f"{batch} lanes cannot be shared by {self.size} processes; take a --batch that is a "
                f"multiple of {self.size}, such as {-(-batch // self.size) * self.size}"
            )
        share = batch // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def average(self, tensors: list[Tensor]) -> None:
        """Replaces tensors by their means over all processes."""
        if self.size == 1:
            return
        import torch
        from torch import distributed

        flat = torch.cat([tensor.flatten() for tensor in tensors])  # one message instead of many
        with _together():
            distributed.all_reduce(flat)
        flat /= self.size
        start = 0
        for tensor in tensors:
            part = flat[start : start + tensor.numel()]
            tensor.copy_(part.view_as(tensor))
            start += tensor.numel()

    def all_gather(self, part: Tensor) -> Tensor:
        """The lanes of all processes (1, B, H), of each of which this one has some (1, b, H)."""
        if self.size == 1:
            return part
        import torch
        from torch import distributed

        parts = [torch.empty_like(part) for _ in range(self.size)]
        with _together():
            distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts, 1)

    def broadcast(self, *values: float) -> tuple[float, ...]:
        """The values of the first process."""
        if self.size == 1:
            return values
        import torch
        from torch import distributed

        message = torch.tensor(values, dtype=torch.float64, device=self.device)
        with _together():
            distributed.broadcast(message, 0)
        return tuple(message.tolist())

    def any_rank(self, mine: bool) -> bool:
        """Whether it is so in any of the processes."""
        if self.size == 1:
            return mine
        import torch
        from torch import distributed

        message = torch.tensor(int(mine), device=self.device)
        with _together():
            distributed.all_reduce(message)
        return bool(message)

    def broadcast_object(self, make: Callable[[], T]) -> T:
        """What the first process makes, for all."""
        if self.size == 1:
            return make()
        import torch
        from torch import distributed

        message = [make() if self.is_main else None]
        with _together():
            distributed.broadcast_object_list(message, 0, device=torch.device(self.device))
        return message[0]  # type: ignore[return-value]

    def barrier(self) -> None:
        """Until all are here."""
        self.any_rank(False)


ALONE = Ranks()


@contextmanager
def join() -> Iterator[Ranks]:
    """This process among those that torchrun has started, or alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    import torch
    import torch.distributed.nn
    from torch import distributed

    # That import stands here because its functions take the group of all as a default argument: once
    # imported with a group at work, by an optimizer, say, they hold it for good, and its threads are
    # still there when Python ends, which may abort the process ("terminate called without …").
    rank = int(os.environ["RANK"])
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend, device = "nccl", "cuda"
    else:
        backend, device = "gloo", "cpu"
    with _together():
        distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        ranks = Ranks(rank, size, device)
        yield ranks
        ranks.barrier()  # or who leaves first would break off what another one is still receiving
    finally:
        distributed.destroy_process_group()


@contextmanager
def _together() -> Iterator[Any]:
    """Turns what is raised where another process is gone into one sentence."""
    try:
        yield
    except RuntimeError as error:
        raise ChargenError(
            "another process of this training has ended; what was kept is whole: go on with --resume"
        ) from error
