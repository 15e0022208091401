"""Work on all positions of a batch, a chunk of them at a time, where each makes something as large as the vocabulary.

The logits of a whole batch, and what a divergence makes of them, are the largest tensors of a step by far: 0.8 GB each
for 4,096 positions of BART's vocabulary. No more than a chunk of them is ever in memory; on a CPU a chunk stays in its
cache, too, which makes it twice as fast.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# The numbers in a chunk's logits: few enough for a CPU's cache, enough to keep a GPU busy.
LOGITS = {"cpu": 2**18, "cuda": 2**24}
# And its positions at least: each chunk adds a gradient as large as the output layer, which takes longer than the
# products of a few positions. At a vocabulary of 32,000, chunks of 8 took a CPU 2.6 times as long as chunks of 64.
POSITIONS = 64


def chunk_size(vocabulary: int, device: torch.device) -> int:
    """Positions in a chunk."""
    return max(POSITIONS, LOGITS.get(device.type, LOGITS["cuda"]) // vocabulary)


def summed(
    value: Callable[..., Tensor], positions: Sequence[Tensor | None], shared: Sequence[Tensor], size: int
) -> Tensor:
    """Σ over chunks of `value(*chunk)`, a scalar; `positions` are tensors of N rows each, or None.

    Gradients with respect to `positions` and `shared` (weights that `value` uses) are taken chunk by chunk, together
    with the value: they only have to be scaled in the backward pass, and nothing of a chunk is kept or computed again.
    """
    if len(positions[0]) <= size:
        return value(*positions)
    return _Summed.apply(value, size, len(positions), *positions, *shared)


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Callable[..., Tensor], size: int, count: int, *tensors: Tensor | None) -> Tensor:
        positions, shared = tensors[:count], tensors[count:]
        needed = [i for i, needs in enumerate(ctx.needs_input_grad[3:]) if needs]
        gradients = {i: torch.zeros_like(tensors[i]) for i in needed}
        total = 0.0
        for rows in (slice(begin, begin + size) for begin in range(0, len(positions[0]), size)):
            chunk = [None if each is None else each[rows].detach() for each in positions]
            leaves = {i: chunk[i].requires_grad_() if i < count else shared[i - count] for i in needed}
            with torch.set_grad_enabled(bool(needed)):
                part = value(*chunk)
            total += part.detach()
            if not needed:
                continue
            found = torch.autograd.grad(part, list(leaves.values()), allow_unused=True)
            for i, gradient in zip(leaves, found, strict=True):
                if gradient is not None:
                    (gradients[i][rows] if i < count else gradients[i]).add_(gradient)
        ctx.gradients = [gradients.get(i) for i in range(len(tensors))]
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *(None if each is None else each.mul_(scale) for each in ctx.gradients)


def each(value: Callable[..., Tensor], positions: Sequence[Tensor], size: int) -> Tensor:
    """`value(*chunk)`, one number per position, of all chunks: (N,). What a gradient needs is computed again for it."""
    if len(positions[0]) <= size:
        return value(*positions)
    chunks = zip(*(tensor.split(size) for tensor in positions), strict=True)
    if not torch.is_grad_enabled():
        return torch.cat([value(*chunk) for chunk in chunks])
    return torch.cat([checkpoint(value, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks])
