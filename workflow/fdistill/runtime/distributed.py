"""The ranks of a job: processes that torchrun starts, one per GPU, on one node or on several."""

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

from fdistill.runtime.device import is_out_of_memory
from fdistill.runtime.errors import UserError

# How long a rank waits in a collective. torchrun notices a lost rank at once, so that this limit need not.
COLLECTIVE_TIMEOUT = timedelta(days=7)
PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process receives when its parent dies


@dataclass(frozen=True)
class Ranks:
    """The rank of this process, the world size, and the process group of its collectives."""

    rank: int = 0
    world_size: int = 1
    group: dist.ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes the outputs."""
        return self.rank == 0

    def all_gather(self, part: dict[Any, Any]) -> dict[Any, Any]:
        """Return the mappings of all ranks merged into one, the same on every rank."""
        if self.world_size == 1:
            return part
        parts: list[Any] = [None] * self.world_size
        dist.all_gather_object(parts, part, self.group)
        return {key: value for rank_part in parts for key, value in rank_part.items()}

    def all_gather_unless_oom(self, compute: Callable[[], dict[Any, Any]]) -> dict[Any, Any] | None:
        """Return the mappings that `compute` returns on all ranks, merged; None when a rank ran out of GPU memory."""
        try:
            part = compute()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            part = {_OUT_OF_MEMORY: True}
        merged = self.all_gather(part)
        return None if _OUT_OF_MEMORY in merged else merged

    def all_reduce(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over the ranks, in place."""
        if self.world_size > 1:
            for handle in [dist.all_reduce(tensor, group=self.group, async_op=True) for tensor in tensors]:
                handle.wait()


_OUT_OF_MEMORY = "out of memory"  # never a key of what `compute` returns

SINGLE_PROCESS = Ranks()


def join(device: str) -> Ranks:
    """Join the process group of the ranks that torchrun has started, each on its own GPU if `device` is `cuda`.

    Return `SINGLE_PROCESS` when torchrun did not start this process. Raises UserError when a node has more ranks than
    GPUs.
    """
    if not dist.is_torchelastic_launched():
        return SINGLE_PROCESS
    if device == "cuda":
        local_rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local_rank >= gpus:
            raise UserError(
                f"local rank {local_rank} has no GPU: torch sees {gpus} on this node; start at most {gpus} ranks per "
                "node (the rule's resource gpu, torchrun's --nproc-per-node)"
            )
        torch.cuda.set_device(local_rank)
    if (
        sys.platform == "linux"
    ):  # torchrun starts each rank in its own session, where it would outlive a killed torchrun
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    # It keeps torch's timeout: with COLLECTIVE_TIMEOUT, a rank whose torchrun has died would look for it for days.
    dist.init_process_group(backend)
    group = dist.new_group(timeout=COLLECTIVE_TIMEOUT)
    ranks = Ranks(dist.get_rank(), dist.get_world_size(), group)
    if not ranks.is_main:
        logging.getLogger().setLevel(logging.WARNING)  # rank 0 reports the progress of all
    return ranks
