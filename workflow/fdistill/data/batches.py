"""From text to batches: token ids, padding, and an order that buckets by length without bias."""

import logging
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from fdistill.losses.objectives import IGNORE
from fdistill.models.language_model import LanguageModel, Source

log = logging.getLogger(__name__)

# Batches are formed among so many times the batch size of shuffled examples: groups of about equal sources, and within
# each, batches of about equal targets. Little padding on both sides, and any example is as likely at any time.
GROUPS = 6
POOL_BATCHES = GROUPS * GROUPS


def pad(rows: Sequence[Sequence[int]], value: int, left: bool = False) -> Tensor:
    """Rows of ids as one rectangle (B, L)."""
    length = max(map(len, rows))
    fill = [[value] * (length - len(row)) for row in rows]
    filled = [f + list(r) if left else list(r) + f for f, r in zip(fill, rows, strict=True)]
    return torch.tensor(filled, dtype=torch.long)


def source_batch(model: LanguageModel, rows: Sequence[Sequence[int]]) -> Source:
    """Sources of a batch, padded on the side that the model's family wants, on the model's device."""
    left = not model.family.is_encoder_decoder
    input_ids = pad(rows, model.pad_token_id, left)
    attention_mask = pad([[1] * len(row) for row in rows], 0, left)
    return Source(input_ids, attention_mask).to(model.device)


def label_batch(rows: Sequence[Sequence[int]], device: torch.device | str) -> Tensor:
    """Targets of a batch as labels (B, T)."""
    return pad(rows, IGNORE).to(device)


def epoch_batches(lengths: Sequence[tuple[int, int]], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of one epoch in batches of about equal lengths, in a random order that (seed, epoch) fixes.

    `lengths` holds each example's length of source and of target.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    # The batch that is not full weighs more per example: it is drawn before sorting.
    full = len(order) - len(order) % batch_size
    batches = [order[full:]] if order[full:] else []
    for pool in _cut(order[:full], POOL_BATCHES * batch_size):
        for group in _cut(sorted(pool, key=lambda i: lengths[i]), GROUPS * batch_size):
            batches += _cut(sorted(group, key=lambda i: lengths[i][::-1]), batch_size)
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def _cut(indices: list[int], size: int) -> list[list[int]]:
    return [indices[i : i + size] for i in range(0, len(indices), size)]


# How many rows a batch has, given the longest of them.
BatchSize = int | Callable[[int], int]


def sorted_batches(lengths: Sequence[int], batch_size: BatchSize) -> Iterator[list[int]]:
    """All indices in batches by decreasing length: the most memory is needed first."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    while order:
        size = batch_size if isinstance(batch_size, int) else batch_size(lengths[order[0]])
        yield order[:size]
        order = order[size:]
