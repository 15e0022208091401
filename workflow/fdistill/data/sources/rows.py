"""Rows of a published data set, which know where they stand."""

from dataclasses import dataclass
from typing import Any

from fdistill.errors import UserError

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Row:
    """One row, and where it stands; what it lacks becomes an error that says so."""

    place: str  # "dev.json, entry 3"
    values: Any  # a mapping, columns to values

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

    def wrong(self, key: str, expected: str) -> UserError:
        """The error for a value that is not what it should be."""
        return UserError(f"{self.place}: '{key}' is not {expected}; mend or remove the row")
