"""One training in several processes, as `torchrun` starts them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed

from tools.errors import TrainingError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """
    This process among those that train one model; alone unless `torchrun` started it.

    Each process takes a share of every batch; gradients are summed over all of them before each
    step, which all then make alike. The sum is ours, not DistributedDataParallel's: shares of a
    batch differ in their number of passes, and may be empty.

    Args:
        rank: 0..size - 1; rank 0 writes and reports.
        size: how many.
        device: where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @classmethod
    @contextmanager
    def joined(cls, device: str | None = None, threads: int | None = None) -> Iterator["Processes"]:
        """
        Join the others, and leave them when the block ends.

        Args:
            device: "cpu" or "cuda"; None: CUDA when there is one. Several processes talk by nccl
                on CUDA and by gloo on CPUs.
            threads: that this one computes with on a CPU while the block lasts; None: as many as
                torch would use.

        Raises:
            TrainingError: CUDA is asked for, and there is none.
        """
        kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if kind == "cuda":
            if not torch.cuda.is_available():
                raise TrainingError("device cuda: found no GPU that torch can use")
            # It makes a plan for each new shape, a tenth of a second long, and all shapes are new.
            torch.backends.cuda.enable_cudnn_sdp(False)
        with _threads(threads):
            if "WORLD_SIZE" not in os.environ:
                yield cls(0, 1, torch.device(kind))
                return
            own = torch.device(f"cuda:{os.environ['LOCAL_RANK']}" if kind == "cuda" else kind)
            if own.type == "cuda":
                torch.cuda.set_device(own)
            distributed.init_process_group("nccl" if own.type == "cuda" else "gloo")
            try:
                yield cls(distributed.get_rank(), distributed.get_world_size(), own)
            finally:
                distributed.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of a batch; every item is in one part."""
        return items[self.rank :: self.size]

    def add_up(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes; float32 tensors on `device`."""
        if self.size == 1:
            return
        parts = list(tensors)
        flat = torch.cat([part.reshape(-1) for part in parts])
        distributed.all_reduce(flat)
        sums = torch.split(flat, [part.numel() for part in parts])
        for part, summed in zip(parts, sums, strict=True):
            part.copy_(summed.view_as(part))

    def agree(self, value: float) -> float:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        box = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(box, src=0)
        return float(box)

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
