"""Vocabulary-sized quantities, computed for a chunk of a batch's positions at a time.

The logits of a whole batch, and what a divergence computes from them, are by far the largest tensors of a training
step: 0.8 GB each for 4,096 positions of BART's vocabulary. Only one chunk of them is in memory at a time. On a CPU a
chunk also fits into the cache, which halves the time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Numbers in the logits of a chunk: few enough for a CPU's cache, enough to keep a GPU busy.
LOGITS_PER_CHUNK = {"cpu": 2**18, "cuda": 2**24}
# The fewest positions in a chunk. Each chunk adds a gradient as large as the output layer, which for a few positions
# takes longer than their matrix products: at a vocabulary of 32,000, chunks of 8 positions took a CPU 2.6 times as
# long as chunks of 64.
MIN_POSITIONS = 64


def chunk_size(vocabulary: int, device: torch.device) -> int:
    """Return the number of positions in a chunk, for a vocabulary size and a device."""
    return max(MIN_POSITIONS, LOGITS_PER_CHUNK.get(device.type, LOGITS_PER_CHUNK["cuda"]) // vocabulary)


def sum_over_chunks(
    function: Callable[..., Tensor], positions: Sequence[Tensor | None], shared: Sequence[Tensor], size: int
) -> Tensor:
    """Return Σ over chunks of `function(*chunk)`, a scalar.

    `positions` are the arguments of `function`: tensors of N rows each, one row per position, or None. `shared` are
    the other weights that `function` uses. The gradients of `positions` and `shared` are computed together with the
    value, chunk by chunk; the backward pass only scales them: no activations are stored, and nothing is
    computed twice.
    """
    if len(positions[0]) <= size:
        return function(*positions)
    return _SumOverChunks.apply(function, size, len(positions), *positions, *shared)


class _SumOverChunks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], size: int, count: int, *tensors: Tensor | None) -> Tensor:
        positions, shared = tensors[:count], tensors[count:]
        needed = [i for i, needs_gradient in enumerate(ctx.needs_input_grad[3:]) if needs_gradient]
        gradients = {i: torch.zeros_like(tensors[i]) for i in needed}
        total = 0.0
        for rows in (slice(begin, begin + size) for begin in range(0, len(positions[0]), size)):
            chunk = [None if tensor is None else tensor[rows].detach() for tensor in positions]
            leaves = {i: chunk[i].requires_grad_() if i < count else shared[i - count] for i in needed}
            with torch.set_grad_enabled(bool(needed)):
                value = function(*chunk)
            total += value.detach()
            if not needed:
                continue
            chunk_gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
            for i, gradient in zip(leaves, chunk_gradients, strict=True):
                if gradient is not None:
                    (gradients[i][rows] if i < count else gradients[i]).add_(gradient)
        ctx.gradients = [gradients.get(i) for i in range(len(tensors))]
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *(None if gradient is None else gradient.mul_(scale) for gradient in ctx.gradients)


def map_over_chunks(function: Callable[..., Tensor], positions: Sequence[Tensor], size: int) -> Tensor:
    """Return `function(*chunk)` of all chunks, concatenated: (N,), one number per position.

    `positions` are tensors of N rows each. Activations are computed again in the backward pass instead of stored.
    """
    if len(positions[0]) <= size:
        return function(*positions)
    chunks = zip(*(tensor.split(size) for tensor in positions), strict=True)
    if not torch.is_grad_enabled():
        return torch.cat([function(*chunk) for chunk in chunks])
    return torch.cat([checkpoint(function, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks])
