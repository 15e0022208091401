"""Rows of a data set with given splits, which know where they stand."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fdistill.runtime.errors import UserError

SPLITS = ("train", "dev", "test")
OUR_NAMES = {"validation": "dev", "valid": "dev", "val": "dev"}  # of others' splits, where they differ


@dataclass(frozen=True)
class Row:
    """One row, and where it stands; what it lacks becomes an error that says so."""

    place: str  # "dev.json, entry 3"
    values: Any  # a mapping, columns to values

    def has(self, key: str) -> bool:
        """Whether there is such a column."""
        return isinstance(self.values, dict) and key in self.values

    def get(self, *keys: str) -> Any:
        """The value at a path of keys; UserError when there is none."""
        value = self.values
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                has = ", ".join(map(str, value)) if isinstance(value, dict) else "no columns"
                raise UserError(f"{self.place}: no '{key}' (found: {has}); rename the column or mend the row")
            value = value[key]
        return value

    def text(self, *keys: str) -> str:
        """The text at a path of keys; UserError when there is none."""
        value = self.get(*keys)
        if not isinstance(value, str):
            raise self.wrong(keys[-1], "text")
        return value

    def text_or_blank(self, key: str) -> str:
        """The text of a column, blank when it has none; UserError when there is no such column."""
        return "" if self.get(key) is None else self.text(key)

    def wrong(self, key: str, expected: str) -> UserError:
        """The error for a value that is not what it should be."""
        return UserError(f"{self.place}: '{key}' is not {expected}; mend or remove the row")


class Pair(Row):
    """A row of columns `source` and `target` that are an example as they stand, whatever the data set."""

    @classmethod
    def of(cls, place: str, source: str, target: str) -> "Pair":
        """The row of a pair of texts."""
        return cls(place, {"source": source, "target": target})


Rows = dict[str, Iterable[Row]]  # by split


def unpartnered(source: object, sources: int, target: object, targets: int) -> UserError:
    """The error for files of pairs whose numbers of lines differ."""
    longer, line = (source, targets + 1) if sources > targets else (target, sources + 1)
    return UserError(
        f"{source} has {sources:,} lines and {target} {targets:,}: line {line} of {longer} has no partner; "
        "every source needs its target on the same line"
    )
