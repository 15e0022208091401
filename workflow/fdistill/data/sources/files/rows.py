"""Rows of a data set: each knows its file and line, so that an error can name them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fdistill.runtime.errors import UserError

SPLIT_NAMES = {"validation": "dev", "valid": "dev", "val": "dev"}  # names elsewhere -> ours


@dataclass(frozen=True)
class Row:
    """One row and its place; a missing or wrong value raises a UserError that names the place."""

    place: str  # "dev.json, entry 3"
    values: Any  # a mapping from columns to values, if the file is right

    def has(self, key: str) -> bool:
        """Return whether the row has this column."""
        return isinstance(self.values, dict) and key in self.values

    def get(self, *keys: str) -> Any:
        """Return the value at a path of keys; raises UserError when there is none."""
        value = self.values
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                has = ", ".join(map(str, value)) if isinstance(value, dict) else "no columns"
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


Rows = dict[str, Iterable[Row]]  # by split


def unpartnered(source: object, sources: int, target: object, targets: int) -> UserError:
    """Return the error for a source and a target file with different numbers of lines."""
    longer, line = (source, targets + 1) if sources > targets else (target, sources + 1)
    return UserError(
        f"{source} has {sources:,} lines and {target} {targets:,}: line {line} of {longer} has no partner; "
        "every source needs its target on the same line"
    )
