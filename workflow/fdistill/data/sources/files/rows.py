"""Rows of a data set: each knows its file and line, so that an error can name them; bad ones are collected."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fdistill.data.sources import Example
from fdistill.runtime.errors import UserError

SPLIT_NAMES = {"validation": "dev", "valid": "dev", "val": "dev"}  # names elsewhere -> ours
NAMED = 10  # bad rows that a refusal names


@dataclass(frozen=True)
class Row:
    """One row and its place; a missing or wrong value raises a UserError that names the place."""

    place: str  # "dev.json, entry 3"
    values: Any  # a mapping from columns to values, if the file is right
    unread: tuple[str, ...] = ()  # columns that the file has besides

    count = 1  # rows that it stands for

    def has(self, key: str) -> bool:
        """Return whether the row has this column."""
        return isinstance(self.values, dict) and key in self.values

    def get(self, *keys: str) -> Any:
        """Return the value at a path of keys; raises UserError when there is none."""
        value = self.values
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                has = listed([*value, *self.unread]) if isinstance(value, dict) else "no columns"
                raise UserError(f"{self.place}: no '{key}' (found: {has}); rename the column or correct the row")
            value = value[key]
        return value

    def text(self, *keys: str) -> str:
        """Return the text at a path of keys; raises UserError when there is none."""
        value = self.get(*keys)
        if not isinstance(value, str):
            raise self.wrong(keys[-1], "text")
        return value

    def text_or_blank(self, key: str) -> str:
        """Return the text of a column, "" for null; raises UserError when there is no such column."""
        return "" if self.get(key) is None else self.text(key)

    def wrong(self, key: str, expected: str) -> UserError:
        """Return the error for a value that is not `expected`."""
        return UserError(f"{self.place}: '{key}' is not {expected}; correct or remove the row")


class Pair(Row):
    """A row of `source` and `target` that is an example as it is, in every data set."""

    @classmethod
    def of(cls, place: str, source: str, target: str) -> "Pair":
        """Return the row of a pair of texts."""
        return cls(place, {"source": source, "target": target})


class BadRow(Row):
    """A row that cannot be read; whoever asks for its values gets the reason as a UserError."""

    def __init__(self, place: str, reason: str, count: int = 1):
        vars(self).update(place=place, reason=reason, count=count)

    @property
    def values(self) -> Any:
        """Raise the UserError."""
        raise UserError(f"{self.place}: {self.reason}")


Rows = dict[str, Iterable[Row]]  # by split


class BadRows:
    """Makes the examples of a corpus, counts the rows that cannot be used, and remembers why the first ones cannot."""

    def __init__(self):
        self.counts: dict[str, int] = {}  # bad rows by split
        self.rows = 0  # all rows
        self.reasons: list[str] = []

    def examples(
        self, split: str, rows: Iterable[Row], examples_of: Callable[[Row, int], Iterable[Example]]
    ) -> list[Example]:
        """Return the examples of a split's good rows; `examples_of` receives a row and its 0-based number.

        A UserError of `examples_of` makes a bad row. One that is raised while the next row is read, such as for a
        damaged file, is raised again: nothing is known about the rows behind it.
        """
        examples: list[Example] = []
        self.counts[split] = 0
        for number, row in enumerate(rows):
            self.rows += row.count
            try:
                examples += examples_of(row, number)
            except UserError as error:
                self.counts[split] += row.count
                if len(self.reasons) < NAMED:
                    self.reasons.append(str(error))
        return examples

    def refuse(self, remedy: str) -> None:
        """Raise UserError with the number of bad rows and the first reasons, if there are any bad rows."""
        if self.reasons:
            bad = sum(self.counts.values())
            first = f"; the first {NAMED}" if bad > len(self.reasons) == NAMED else ""
            lines = "\n  ".join(self.reasons)
            raise UserError(f"source.path: {bad:,} of {self.rows:,} rows cannot be used{first}:\n  {lines}\n{remedy}")


def listed(names: list[str]) -> str:
    """Return names of columns for a message: all of them, or the first ones and their number."""
    return ", ".join(map(str, names[:20])) + (f", … ({len(names):,} in all)" if len(names) > 20 else "")


def repeated(names: list[str]) -> str | None:
    """Return the first name that occurs twice; None if there is none."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def unpartnered(source: object, sources: int, target: object, targets: int) -> UserError:
    """Return the error for a source and a target file with different numbers of lines."""
    longer, line = (source, targets + 1) if sources > targets else (target, sources + 1)
    return UserError(
        f"{source} has {sources:,} lines and {target} {targets:,}: line {line} of {longer} has no partner; "
        "every source needs its target on the same line"
    )
