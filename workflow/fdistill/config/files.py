"""The files of a configuration: which of them a key comes from, and what is wrong in each."""

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

from fdistill.artifacts.yaml_files import read_mapping
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import KeyPath, Problem

MERGED = "config (merged, e.g. from --config)"

Settings = dict[str, Any]
_ABSENT = object()


class Report:
    """Every mistake found, each once."""

    def __init__(self, root: Path):
        """File names are shown as seen from `root`."""
        self.root = root
        self.lines: dict[str, None] = {}

    def label(self, path: Path) -> str:
        """How a file is called in messages."""
        full, root = path.resolve(), self.root.resolve()
        return str(full.relative_to(root) if full.is_relative_to(root) else path)

    def read(self, path: Path) -> Settings | None:
        """The mapping in a file, or None when it cannot be read."""
        try:
            return read_mapping(path, self.label(path))
        except UserError as error:
            self.lines |= dict.fromkeys(str(error).splitlines())
            return None

    def add(self, label: str, found: Iterable[Problem]) -> None:
        """Mistakes of one file."""
        self.lines |= dict.fromkeys(problem.line(label) for problem in found)

    def finish(self) -> None:
        """Raise what was found, if anything."""
        if self.lines:
            raise UserError("the configuration has mistakes:\n  " + "\n  ".join(self.lines))


class Merged:
    """Snakemake's merged configuration, and the files that it was made from."""

    def __init__(self, config: Settings, contents: dict[str, Settings]):
        """`contents` by file name, in order."""
        self.config, self.contents = config, contents

    def file_of(self, path: KeyPath) -> str:
        """The last file that gives this key the value it has; for a key that nobody gives, the first file."""
        value = at(self.config, path)
        files = [label for label, content in self.contents.items() if at(content, path) == value]
        if not files:
            return MERGED
        return files[0] if value is _ABSENT else files[-1]


def set_in(settings: Settings, path: KeyPath) -> KeyPath | None:
    """The start of `path` that leads to a value, not a mapping, in `settings`; the whole path to a mapping.

    None if nothing is there.
    """
    for depth in range(len(path) + 1):
        value = at(settings, path[:depth])
        if value is not _ABSENT and (depth == len(path) or not isinstance(value, dict)):
            return path[:depth]
    return None


def merge(base: Any, changes: Any) -> Any:
    """`changes` over `base`, key by key; anything but a mapping replaces what was there."""
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return deepcopy(changes)
    return deepcopy(base) | {key: merge(base.get(key), value) for key, value in changes.items()}


def at(settings: Any, path: KeyPath, default: Any = _ABSENT) -> Any:
    """The value at a path of keys, or `default`."""
    for key in path:
        try:
            settings = settings[key]
        except (KeyError, IndexError, TypeError):
            return default
    return settings
