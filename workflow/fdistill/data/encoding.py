"""Turns a prepared split into token ids, within the lengths that a task allows."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from fdistill.artifacts.files import read_parquet
from fdistill.data.limits import Limits
from fdistill.data.lines import one_line
from fdistill.data.prompts import answer_blanks, encode_prompts
from fdistill.data.schemas import SPLIT
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.tokenization import continues_source, decode, encode_targets, markup
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoded:
    """A split as token ids: `sources[i]` of example i, and `references[i]`, all its references, each ending in EOS.

    An unlabelled input has no references.
    """

    ids: list[str]
    sources: list[list[int]]
    references: list[list[list[int]]]

    @property
    def targets(self) -> list[list[int]]:
        """The first reference of each example."""
        return [references[0] for references in self.references]

    def __len__(self) -> int:
        return len(self.ids)

    def __add__(self, other: "Encoded") -> "Encoded":
        """Return the examples of both, those of `other` last."""
        return Encoded(self.ids + other.ids, self.sources + other.sources, self.references + other.references)


def encode_split(split: dict[str, list], tokenizer: PreTrainedTokenizerBase, limits: Limits, name: str) -> Encoded:
    """Tokenise the columns of a split (`schemas.SPLIT`); `name` stands for the split in messages.

    A text that is too long is cut (see `encode_prompts`). Raises UserError as that does, with split and row when a text
    is longer than its limit and `too_long` is "error", and when the split is empty.
    """
    if not split["id"]:
        raise UserError(f"{name}: the split is empty; check source options and filters in the task file")
    prompts = encode_prompts(split["source"], tokenizer, limits)
    rows_of_targets = [i for i, references in enumerate(split["references"]) for _ in references]
    texts = [text for references in split["references"] for text in references]
    targets = _encode_targets(texts, tokenizer, limits)
    _check_lengths([prompt.length for prompt in prompts], "source", range(len(prompts)), split["id"], limits, name)
    _check_lengths(list(map(len, targets)), "target", rows_of_targets, split["id"], limits, name)
    references: list[list[list[int]]] = [[] for _ in prompts]
    for i, target in zip(rows_of_targets, _cut(targets, limits.max_target_tokens), strict=True):
        references[i].append(target)
    encoded = Encoded(split["id"], [prompt.tokens for prompt in prompts], references)
    if continues_source(tokenizer):  # to its model both are one text
        log.info("%s, the first example: %s", name, shown(encoded, tokenizer))
    return encoded


def shown(encoded: Encoded, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the first example as a decoder-only model sees it, special tokens too: what it reads, and the target."""
    parts = {"reads": encoded.sources[0], "target": next(iter(encoded.references[0]), None)}
    texts = {part: tokenizer.decode(tokens) for part, tokens in parts.items() if tokens is not None}
    return ", ".join(f"{part} {json.dumps(text, ensure_ascii=False)}" for part, text in texts.items())


def encode_labels(texts: list[str], tokenizer: PreTrainedTokenizerBase, limits: Limits, name: str) -> list[list[int]]:
    """Tokenise a model's labels as the references of a split; `name` stands for them in messages.

    A label that is too long is cut in any case: its model did not write it in this tokenizer's tokens. The log says how
    many are, and how many are blank, as a model's output may be.
    """
    tokens = _encode_targets(texts, tokenizer, limits)
    cut = sum(len(label) > limits.max_target_tokens for label in tokens)
    if blank := sum(not text.strip() for text in texts):
        log.warning(
            "%s: %d of %d labels are blank, from which a student learns to end at once", name, blank, len(texts)
        )
    if cut:
        log.info("%s: %d of %d labels cut to %d tokens", name, cut, len(tokens), limits.max_target_tokens)
    return _cut(tokens, limits.max_target_tokens)


def rows_of(size: int, max_examples: int | None) -> list[int]:
    """Return the rows of a split of `size` that are used: all, or `max_examples` at even distances."""
    count = size if max_examples is None else min(size, max_examples)
    return [i * size // count for i in range(count)]


def check_symbols(split: dict[str, list], tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Raise UserError, with the symbol, unless each word of a split's texts is one token that is read back as it is.

    A symbol may have one token where it begins a text and another after a blank.
    """
    first: set[str] = set()
    later: set[str] = set()
    for text in chain(split["source"], *split["references"]):
        words = text.split()
        first.update(words[:1])
        later.update(words[1:])
    cases = [(symbol, symbol) for symbol in sorted(first)]
    cases += [(symbol, f"{min(first)} {symbol}") for symbol in sorted(later)]
    for symbol, text in cases:
        (tokens,) = encode_targets(tokenizer, [text])
        tokens = [token for token in tokens if token not in markup(tokenizer)]
        if len(tokens) != len(text.split()) or one_line(*decode(tokenizer, [tokens])) != text:
            pieces = " + ".join(f"'{piece}'" for piece in tokenizer.convert_ids_to_tokens(tokens))
            raise UserError(
                f"{name}: the tokenizer has no token for the symbol '{symbol}': '{text}' becomes "
                f"{pieces or 'nothing'}; separate symbols by blanks. A tokenizer from scratch learns the symbols of "
                "the training texts, those that begin a text apart, until it has model.teacher.vocab_size tokens: "
                "raise this in the task file, or add texts with the symbol. A pretrained tokenizer learns none: set "
                "model.teacher.init to scratch, or text.symbols to false if words are not symbols"
            )


def _check_lengths(
    lengths: list[int], side: str, rows: Sequence[int], ids: list[str], limits: Limits, name: str
) -> None:
    """Raise UserError when a text has more tokens than `limits` allow, or log how many have if they will be cut.

    `lengths` are the texts', `side` is source or target; `rows` has the row of the split that each text belongs to.
    """
    limit = getattr(limits, f"max_{side}_tokens")
    long = [i for i, length in enumerate(lengths) if length > limit]
    if long and limits.too_long == "error":
        worst = max(long, key=lengths.__getitem__)
        row = rows[worst]
        raise UserError(
            f"{name}, row {row + 1} (id '{ids[row]}'): the {side} has {lengths[worst]} tokens, more than "
            f"max_{side}_tokens = {limit} ({len(long)} of {len(lengths)} {side}s are too long, this one most); "
            f"raise text.max_{side}_tokens in the task file or set text.too_long: truncate"
        )
    if long:
        log.info("%s: %d of %d %ss cut to %d tokens", name, len(long), len(lengths), side, limit)


def _encode_targets(texts: list[str], tokenizer: PreTrainedTokenizerBase, limits: Limits) -> list[list[int]]:
    texts = list(map(one_line, texts)) if limits.one_line_targets else texts
    return encode_targets(tokenizer, texts, answer_blanks(tokenizer, limits))


def _cut(targets: list[list[int]], limit: int) -> list[list[int]]:
    """Cut each target to `limit` tokens, of which the last is its EOS."""
    return [t if len(t) <= limit else [*t[: limit - 1], t[-1]] for t in targets]


def read_split(
    path: Path, checkpoint: Checkpoint, limits: Limits, max_examples: int | None = None
) -> tuple[Encoded, dict[str, list]]:
    """Return a prepared split as token ids of the checkpoint's tokenizer, and its text columns.

    With `max_examples` only that many evenly spaced rows are read; the same number gives the same rows in every stage.
    Raises UserError as `check_positions` and `encode_split` do, and, for any row of the split, as `check_symbols` does.
    """
    check_positions(checkpoint, limits)
    columns, _ = read_parquet(path, SPLIT)
    if limits.symbols:
        check_symbols(columns, checkpoint.tokenizer, str(path))
    rows = rows_of(len(columns["id"]), max_examples)
    columns = {name: [values[row] for row in rows] for name, values in columns.items()}
    return encode_split(columns, checkpoint.tokenizer, limits, str(path)), columns


def check_positions(checkpoint: Checkpoint, limits: Limits) -> None:
    """Raise UserError when texts within `limits` can need more positions than the model has."""
    model = checkpoint.model
    if model.family.positions_key is None:
        return
    positions = getattr(model.module.config, model.family.positions_key)
    source, target = limits.max_source_tokens, limits.max_target_tokens
    if model.family.is_encoder_decoder:
        longest, words = max(source, target), "the larger of max_source_tokens and max_target_tokens"
    else:
        longest, words = source + target, "max_source_tokens + max_target_tokens"
    if longest > positions:
        raise UserError(
            f"text: {words} is {longest}, but the model has {positions} positions ({model.family.positions_key}); "
            "lower text.max_source_tokens or text.max_target_tokens in the task file"
        )
