"""Outputs of a teacher from outside: a user's file of texts, read row by row, and the inputs that they belong to.

A row has `id` (of the prepared split) or `source` (its text), and `text`, an output or a list of outputs; several rows
of an input are several outputs too. `finished` (default true) says whether the output ended by itself. With one text
per row, `tokens`, `log_probs` and `top_log_probs` say what is known of the teacher's distributions
(docs/outside_teachers.md).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.data.labels import first_of
from fdistill.data.sources.files.identification import suffix_of
from fdistill.data.sources.files.local_files import FORMATS, existing_file, named_file
from fdistill.data.sources.files.parquet_files import parts
from fdistill.data.sources.files.rows import Row
from fdistill.runtime.errors import UserError

SUFFIXES = (".jsonl", ".ndjson", ".parquet")  # formats that have lists
ID, SOURCE, TEXT, FINISHED = "id", "source", "text", "finished"
TOKENS, LOG_PROBS, TOP_LOG_PROBS = "tokens", "log_probs", "top_log_probs"
# Log-probabilities that were rounded to bf16 add up to 1 only about.
SUM_TOLERANCE, ZERO_TOLERANCE = 0.01, 1e-3
LEAST = -1e6  # nats, far below what any model says and within what float32 holds
SAME = 0.01  # nats, and a share of them: by how much one log-probability may differ from itself, as by rounding
PART = "\ufffd"  # in the name of a token that is a part of a character, which others have too


@dataclass(frozen=True)
class Output:
    """One row: its texts, and of its only text what is known of the teacher's distributions.

    `tokens` are the T tokens of the text as strings. `known[t]` maps tokens that could stand at position t to their
    log-probabilities in nats; the token itself is one of them. Both are None for a row without log-probabilities, or
    whose log-probabilities are not read.
    """

    place: str  # "outputs.jsonl, line 3"
    id: str | None
    source: str | None
    texts: list[str]
    finished: bool = True
    tokens: list[str] | None = None
    known: list[dict[str, float]] | None = None


def outputs_file(name: str) -> Path:
    """Return the path of a file of outputs; raises UserError for a name of no known format."""
    return named_file(name, SUFFIXES)


def files_of(name: str) -> list[Path]:
    """Return the files that outputs are in: one, or the parts of a Parquet table."""
    return parts(outputs_file(name))


def read_outputs(name: str, with_log_probs: bool) -> Iterator[Output]:
    """Yield the rows of a file of outputs, in its order, `with_log_probs` with what they say of distributions.

    Raises UserError for a file that cannot be read or has no rows, and, with the row, for what `output_of` refuses.
    """
    file = existing_file(outputs_file(name), "model.teacher.outputs")
    row = None
    for row in FORMATS[suffix_of(file)](file):
        yield output_of(row, with_log_probs)
    if row is None:
        raise UserError(f"{file}: has no rows; give a file with outputs")


def output_of(row: Row, with_log_probs: bool = True) -> Output:
    """Return the content of a row.

    Raises UserError for a row without input or text, with a blank text or a NUL character, or, `with_log_probs`, with
    log-probabilities that are no such numbers, not one per token, or not those of one distribution.
    """
    found = {key: row.text(key) if _given(row, key) is not None else None for key in (ID, SOURCE)}
    if found[ID] is None and found[SOURCE] is None:
        raise UserError(f"{row.place}: no '{ID}' and no '{SOURCE}'; say which input the output is of, by one of them")
    texts = row.get(TEXT)
    texts = texts if isinstance(texts, list) else [texts]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise row.wrong(TEXT, "a text or a list of texts")
    if not all(text.strip() for text in texts):
        raise UserError(f"{row.place}: '{TEXT}' is blank; ask the teacher again, or remove the row")
    if any("\0" in text for text in texts):
        raise UserError(f"{row.place}: '{TEXT}' has a NUL character, which no text has; correct or remove the row")
    finished = _given(row, FINISHED)
    if not isinstance(finished, bool | None):
        raise row.wrong(FINISHED, "true or false")
    known = _distributions(row, len(texts)) if with_log_probs else (None, None)
    return Output(row.place, found[ID], found[SOURCE], texts, finished is not False, *known)


def _given(row: Row, key: str) -> Any:
    """The value of a column; None if the row has none, or null."""
    return row.values[key] if row.has(key) else None


def _distributions(row: Row, texts: int) -> tuple[list[str] | None, list[dict[str, float]] | None]:
    """The tokens of a row, and what is known at each position; None and None if the row has no log-probabilities."""
    tokens, log_probs, top = (_given(row, key) for key in (TOKENS, LOG_PROBS, TOP_LOG_PROBS))
    if log_probs is None and top is None:
        return None, None
    if tokens is None:
        raise UserError(f"{row.place}: has log-probabilities, but no '{TOKENS}' that they are of; add them")
    if texts != 1:
        raise UserError(f"{row.place}: has {TOKENS} of {texts} texts; write a row per text")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise row.wrong(TOKENS, "a list of texts")
    for key, values in ((LOG_PROBS, log_probs), (TOP_LOG_PROBS, top)):
        if values is not None and (not isinstance(values, list) or len(values) != len(tokens)):
            count = f"{len(values)} entries" if isinstance(values, list) else "no list"
            raise UserError(f"{row.place}: '{key}' has {count}, '{TOKENS}' {len(tokens)}; give one per token")
    try:
        known = [by_token(values) for values in top] if top is not None else [{} for _ in tokens]
    except (KeyError, TypeError, ValueError):
        raise row.wrong(TOP_LOG_PROBS, "a list of mappings from tokens to log-probabilities, one per token") from None
    for position, (token, mapping) in enumerate(zip(tokens, known, strict=True)):
        where = f"{row.place}: token {position + 1}, {token!r}"
        if log_probs is not None:
            mapping[token] = log_probs[position]
        _check_log_probs(where, token, mapping)
        of_top = [value for name, value in entries(top[position]) if name == token] if top is not None else []
        if of_top and PART not in token and not any(_are_same(value, mapping[token]) for value in of_top):
            values = f"{mapping[token]:g} in '{LOG_PROBS}', but {repr(of_top[0])[:20]} in '{TOP_LOG_PROBS}'"
            raise UserError(f"{where}: its log-probability is {values}; correct it, or leave '{LOG_PROBS}' out")
    return tokens, known


def by_token(values: Any) -> dict[str, Any]:
    """Return the log-probabilities of one position by token; of several tokens with one name, the likeliest counts.

    Raises KeyError, TypeError or ValueError as `entries` does.
    """
    found: dict[str, Any] = {}
    for token, value in entries(values):
        found[token] = max(value, found.get(token, value))
    return found


def entries(values: Any) -> Iterator[tuple[str, Any]]:
    """Yield the tokens of one position and their log-probabilities; several tokens may have one name.

    Parquet has a mapping as pairs, or as a struct with null for a key that is missing; endpoints have it as entries
    with the keys `token` and `logprob`. Raises KeyError, TypeError or ValueError for anything else.
    """
    for entry in values.items() if isinstance(values, dict) else values:
        token, value = (entry["token"], entry["logprob"]) if isinstance(entry, dict) else entry
        if value is not None:
            yield token, value


def _check_log_probs(where: str, token: str, mapping: dict[str, Any]) -> None:
    if token not in mapping:
        raise UserError(f"{where}: is not in its '{TOP_LOG_PROBS}'; add it there, or give '{LOG_PROBS}' too")
    for other, value in mapping.items():
        if not _is_log_prob(value):
            shown = repr(value)[:20]
            text = f"the log-probability of {other!r} is {shown}, not a number from {LEAST:,.0f} to 0"
            raise UserError(f"{where}: {text}; give natural logarithms of probabilities")
    if (total := math.fsum(map(math.exp, mapping.values()))) > 1 + SUM_TOLERANCE:
        text = f"its probabilities add up to {total:.3f}, more than 1"
        raise UserError(f"{where}: {text}; give natural logarithms of one distribution, at temperature 1")


def _is_log_prob(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and LEAST <= value <= ZERO_TOLERANCE


def _are_same(one: Any, other: float) -> bool:
    return _is_log_prob(one) and math.isclose(one, other, rel_tol=SAME, abs_tol=SAME)


def no_log_probs(file: Path) -> UserError:
    """Return the error for a file that was to have log-probabilities."""
    return UserError(
        f"{file}: no row has log-probabilities; add tokens and log_probs, or set model.teacher.outputs.log_probs: false"
    )


class Inputs:
    """The inputs of a split that outputs are wanted for, by id and by source."""

    def __init__(self, columns: dict[str, list], rows: Sequence[int], split: Path):
        """Take the columns of a split, which is the file `split`; outputs are wanted for `rows` of it."""
        self.split, self.wanted = split, [columns["id"][row] for row in rows]
        self._sources, self._is_wanted = dict(zip(columns["id"], columns["source"], strict=True)), set(self.wanted)
        self._of_source: dict[str, list[str]] = {}
        for example, source in self._sources.items():
            self._of_source.setdefault(source, []).append(example)

    def of(self, output: Output) -> list[str]:
        """Return the wanted inputs of an output, which are several if they have the same source, or none.

        Raises UserError for an output of an input that the split does not have, and for an id whose source is another
        one: ids may be places in a file whose rows have been moved since.
        """
        if output.id is not None:
            found = [output.id] if output.id in self._sources else []
        else:
            found = self._of_source.get(output.source, [])
        if not found:
            what = f"id '{output.id}'" if output.id is not None else f"source {output.source[:80]!r}"
            raise UserError(
                f"{output.place}: {self.split} has no input with the {what}; remove the row, or give the ids or the "
                "sources of that file"
            )
        if output.id is not None and output.source not in (None, self._sources[output.id]):
            raise UserError(
                f"{output.place}: is an output for {output.source[:80]!r}, but the input '{output.id}' of {self.split} "
                f"is {self._sources[output.id][:80]!r}; correct the ids, or give sources alone"
            )
        return [example for example in found if example in self._is_wanted]

    def check_complete(self, file: Path, found: dict[str, Any]) -> None:
        """Raise UserError unless every wanted input is a key of `found`."""
        if missing := [example for example in self.wanted if example not in found]:
            raise UserError(
                f"{file}: has no output for {len(missing):,} of {len(self.wanted):,} inputs ({first_of(missing)}) of "
                f"{self.split}; ask the teacher for those too, write their lines yourself, or set "
                "training.distill.max_examples (max_unlabelled) to the number that it was asked for"
            )
