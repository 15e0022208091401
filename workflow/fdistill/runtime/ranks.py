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
from torch import Tensor, distributed

from fdistill.runtime.errors import UserError

# How long one worker waits for another's part. Who is lost is seen by torchrun, and at once, not by this limit.
PATIENCE = timedelta(days=7)
PR_SET_PDEATHSIG = 1  # of Linux's prctl


@dataclass(frozen=True)
class Workers:
    """Which process this is, and of how many."""

    rank: int = 0
    count: int = 1
    group: distributed.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """The one that writes what they have made together."""
        return self.rank == 0

    def gather(self, part: dict[Any, Any]) -> dict[Any, Any]:
        """The parts of all workers as one mapping, the same for each of them."""
        if self.count == 1:
            return part
        parts: list[Any] = [None] * self.count
        distributed.all_gather_object(parts, part, self.group)
        return {key: value for each in parts for key, value in each.items()}

    def attempt(self, work: Callable[[], dict[Any, Any]]) -> dict[Any, Any] | None:
        """What `work` gives, of all workers; None when the GPU memory of one was not enough."""
        try:
            part = work()
        except torch.OutOfMemoryError:
            part = {_FAILED: True}
        parts = self.gather(part)
        return None if _FAILED in parts else parts

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Put the sum over the workers in the place of each tensor."""
        if self.count > 1:
            for started in [distributed.all_reduce(each, group=self.group, async_op=True) for each in tensors]:
                started.wait()


_FAILED = "out of memory"  # no key of a part

ALONE = Workers()


def join(device: str) -> Workers:
    """Meet the other workers that torchrun has started, each on a GPU of its own if `device` is `cuda`.

    A process that torchrun did not start is alone. Raises UserError when a node has more workers than GPUs.
    """
    if not distributed.is_torchelastic_launched():
        return ALONE
    if device == "cuda":
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= gpus:
            raise UserError(f"worker {local + 1} of this node has no GPU: torch sees {gpus}; start {gpus} workers")
        torch.cuda.set_device(local)
    if sys.platform == "linux":  # torchrun gives each worker a session of its own: killed, it would leave them behind
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    distributed.init_process_group(backend)  # not with PATIENCE: a worker whose torchrun is gone would look for it
    group = distributed.new_group(timeout=PATIENCE)
    workers = Workers(distributed.get_rank(), distributed.get_world_size(), group)
    if not workers.is_first:
        logging.getLogger().setLevel(logging.WARNING)  # the first one's progress is everyone's
    return workers
