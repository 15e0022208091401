"""From text to batches: token ids, padding, and an order that buckets by length without bias."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from fdistill.losses.objectives import IGNORE
from fdistill.models.language_model import LanguageModel, Source
from fdistill.models.tokenization import encode_targets
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

# Batches are formed among so many times the batch size of shuffled examples: groups of about equal sources, and within
# each, batches of about equal targets. Little padding on both sides, and any example is as likely at any time.
GROUPS = 6
POOL_BATCHES = GROUPS * GROUPS


@dataclass(frozen=True)
class Limits:
    """How long texts may be, in tokens, and what happens to a longer one: "error" or "truncate"."""

    max_source_tokens: int
    max_target_tokens: int
    too_long: str = "error"
    source_prefix: str = ""  # for example T5's "translate English to Romanian: "


@dataclass(frozen=True)
class Encoded:
    """A split as token ids. `references[i]` lists those of example i; each ends in EOS."""

    ids: list[str]
    sources: list[list[int]]
    references: list[list[list[int]]]

    @property
    def targets(self) -> list[list[int]]:
        """The first reference of each example."""
        return [references[0] for references in self.references]

    def __len__(self) -> int:
        return len(self.ids)


def encode_split(split: dict[str, list], tokenizer: PreTrainedTokenizerBase, limits: Limits, name: str) -> Encoded:
    """Tokenise a split (see `schemas.SPLIT`).

    Raises UserError naming split and example when a text is longer than its limit and `too_long` is "error",
    or when the split is empty.
    """
    if not split["id"]:
        raise UserError(f"{name}: the split is empty; check source options and filters in the task file")
    sources = tokenizer([limits.source_prefix + text for text in split["source"]]).input_ids
    owners = [i for i, references in enumerate(split["references"]) for _ in references]
    targets = encode_targets(tokenizer, [text for references in split["references"] for text in references])
    closing = len(getattr(tokenizer, "suffix_tokens", ())) or 1  # mBART's sources end in EOS and a language code
    if tokenizer.truncation_side == "left":  # of a dialogue, the last turns matter most
        closing = limits.max_source_tokens
    sources = _limit(
        sources, limits.max_source_tokens, "source", range(len(sources)), split["id"], limits, name, closing
    )
    targets = _limit(targets, limits.max_target_tokens, "target", owners, split["id"], limits, name)
    references: list[list[list[int]]] = [[] for _ in sources]
    for i, target in zip(owners, targets, strict=True):
        references[i].append(target)
    return Encoded(split["id"], sources, references)


def _limit(
    texts: list[list[int]],
    limit: int,
    side: str,
    rows: Sequence[int],
    ids: list[str],
    limits: Limits,
    name: str,
    closing: int = 1,
) -> list[list[int]]:
    """Cut each text to `limit` tokens, or refuse. What is cut is before the `closing` last tokens, one of them EOS.

    `rows` says which row of the split each text belongs to.
    """
    long = [i for i, tokens in enumerate(texts) if len(tokens) > limit]
    if long and limits.too_long == "error":
        worst = max(long, key=lambda i: len(texts[i]))
        row = rows[worst]
        raise UserError(
            f"{name}, row {row + 1} (id '{ids[row]}'): the {side} has {len(texts[worst])} tokens, more than "
            f"max_{side}_tokens = {limit}, and is the longest of {len(long)} such among {len(texts)}; "
            f"raise text.max_{side}_tokens in the task file or set text.too_long: truncate"
        )
    if long:
        log.info("%s: %d of %d %ss cut to %d tokens", name, len(long), len(texts), side, limit)
    head = max(0, limit - closing)
    return [t if len(t) <= limit else t[:head] + t[head - limit :] for t in texts]


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
