"""The processes that share a job: started by torchrun, one per GPU, on one node or on several."""

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from fdistill.runtime.errors import UserError

# How long one worker waits for another's part. Who is lost is seen by torchrun, and at once, not by this limit.
COLLECTIVE_TIMEOUT = timedelta(days=7)
PR_SET_PDEATHSIG = 1  # of Linux's prctl


@dataclass(frozen=True)
class Ranks:
    """Which process this is, and of how many."""

    rank: int = 0
    world_size: int = 1
    group: dist.ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        """The one that writes what they have made together."""
        return self.rank == 0

    def all_gather(self, part: dict[Any, Any]) -> dict[Any, Any]:
        """The parts of all workers as one mapping, the same for each of them."""
        if self.world_size == 1:
            return part
        parts: list[Any] = [None] * self.world_size
        dist.all_gather_object(parts, part, self.group)
        return {key: value for each in parts for key, value in each.items()}

    def attempt(self, work: Callable[[], dict[Any, Any]]) -> dict[Any, Any] | None:
        """What `work` gives, of all workers; None when the GPU memory of one was not enough."""
        try:
            part = work()
        except torch.OutOfMemoryError:
            part = {_FAILED: True}
        parts = self.all_gather(part)
        return None if _FAILED in parts else parts

    def all_reduce(self, tensors: Iterable[Tensor]) -> None:
        """Put the sum over the workers in the place of each tensor."""
        if self.world_size > 1:
            for started in [dist.all_reduce(each, group=self.group, async_op=True) for each in tensors]:
                started.wait()


_FAILED = "out of memory"  # no key of a part

SINGLE_PROCESS = Ranks()


def join(device: str) -> Ranks:
    """Meet the other workers that torchrun has started, each on a GPU of its own if `device` is `cuda`.

    A process that torchrun did not start is alone. Raises UserError when a node has more workers than GPUs.
    """
    if not dist.is_torchelastic_launched():
        return SINGLE_PROCESS
    if device == "cuda":
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= gpus:
            raise UserError(f"worker {local + 1} of this node has no GPU: torch sees {gpus}; start {gpus} workers")
        torch.cuda.set_device(local)
    if sys.platform == "linux":  # torchrun gives each worker a session of its own: killed, it would leave them behind
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend)  # not with COLLECTIVE_TIMEOUT: a worker whose torchrun is gone would look for it
    group = dist.new_group(timeout=COLLECTIVE_TIMEOUT)
    ranks = Ranks(dist.get_rank(), dist.get_world_size(), group)
    if not ranks.is_main:
        logging.getLogger().setLevel(logging.WARNING)  # the first one's progress is everyone's
    return ranks
