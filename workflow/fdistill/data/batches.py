"""Batches of token ids: padding, and an epoch's order, in which batches have similar lengths but random places."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from fdistill.losses.inputs import IGNORE
from fdistill.models.language_model import LanguageModel, Source

# A pool of POOL_BATCHES batches of shuffled examples is sorted by source length into GROUPS groups, and each group by
# target length into GROUPS batches. Both sides need little padding, and since pools are random, an example is equally
# likely at any point of the epoch.
GROUPS = 6
POOL_BATCHES = GROUPS * GROUPS


def pad(rows: Sequence[Sequence[int]], value: int, left: bool = False) -> Tensor:
    """Return rows of ids as one tensor (B, L), filled up with `value` on the right, or on the left with `left`."""
    length = max(map(len, rows))
    fill = [[value] * (length - len(row)) for row in rows]
    padded = [f + list(r) if left else list(r) + f for f, r in zip(fill, rows, strict=True)]
    return torch.tensor(padded, dtype=torch.long)


def source_batch(model: LanguageModel, rows: Sequence[Sequence[int]]) -> Source:
    """Return the sources of a batch on the model's device: ids and mask (B, S), padded on the family's side.

    The mask comes from the lengths, not from the pad token, which may be EOS and part of a source.
    """
    left = not model.family.is_encoder_decoder
    input_ids = pad(rows, model.pad_token_id, left)
    attention_mask = pad([[1] * len(row) for row in rows], 0, left)
    return Source(input_ids, attention_mask).to(model.device)


def label_batch(rows: Sequence[Sequence[int]], device: torch.device | str) -> Tensor:
    """Return the targets of a batch as labels (B, T), with IGNORE behind each target."""
    return pad(rows, IGNORE).to(device)


def epoch_batches(lengths: Sequence[tuple[int, int]], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the example indices of one epoch as batches of similar lengths, in random order.

    `lengths` has the source and target length of each example. The order depends on `lengths`, `batch_size`, `seed` and
    `epoch` alone.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    # An example weighs more in the incomplete batch, which is taken before sorting so that its examples are random.
    full = len(order) - len(order) % batch_size
    batches = [order[full:]] if order[full:] else []
    for pool in _cut(order[:full], POOL_BATCHES * batch_size):
        for group in _cut(sorted(pool, key=lambda i: lengths[i]), GROUPS * batch_size):
            batches += _cut(sorted(group, key=lambda i: lengths[i][::-1]), batch_size)
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def _cut(indices: list[int], size: int) -> list[list[int]]:
    return [indices[i : i + size] for i in range(0, len(indices), size)]


# The number of rows in a batch: fixed, or a function of the length of its longest row.
BatchSize = int | Callable[[int], int]


def sorted_batches(lengths: Sequence[int], batch_size: BatchSize) -> Iterator[list[int]]:
    """Yield all indices in batches by decreasing length, so that a lack of memory shows in the first batch."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    while order:
        size = batch_size if isinstance(batch_size, int) else batch_size(lengths[order[0]])
        yield order[:size]
        order = order[size:]
