"""The files of a configuration: how they are merged, which of them a key comes from, and the mistakes in each."""

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

from fdistill.artifacts.yaml_files import read_mapping, read_value
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import KeyPath, Problem

MERGED = "config (merged, e.g. from --config)"

Settings = dict[str, Any]
_ABSENT = object()
SHOWN = 100  # mistakes in one message


class Report:
    """Collects the mistakes of all files, each once."""

    def __init__(self, root: Path):
        """Show file names relative to `root`."""
        self.root = root
        self.lines: dict[str, None] = {}

    def label(self, path: Path) -> str:
        """Return the name of a file in messages."""
        full, root = path.resolve(), self.root.resolve()
        return str(full.relative_to(root) if full.is_relative_to(root) else path)

    def read(self, path: Path) -> Settings | None:
        """Return the mapping in a file; None, and a mistake, if it cannot be read."""
        try:
            return read_mapping(path, self.label(path))
        except UserError as error:
            self.lines |= dict.fromkeys(str(error).split("\n"))
            return None

    def add(self, label: str, mistakes: Iterable[Problem]) -> None:
        """Add the mistakes of one file."""
        self.lines |= dict.fromkeys(mistake.line(label) for mistake in mistakes)

    def raise_mistakes(self) -> None:
        """Raise a UserError with the mistakes, if there are any."""
        if self.lines:
            raise UserError(self.text())

    def text(self) -> str:
        """Return the mistakes as one text; of very many, the first."""
        lines = list(self.lines)
        more = [f"... and {len(lines) - SHOWN:,} more"] if len(lines) > SHOWN else []
        return "\n  ".join(["the configuration has mistakes:", *lines[:SHOWN], *more])


class Merged:
    """Snakemake's merged configuration, with the files that it was merged from."""

    def __init__(self, config: Settings, contents: dict[str, Settings]):
        """Keep the merged `config` and the files' `contents` by file name, in the order of merging."""
        self.config, self.contents = config, contents

    def file_of(self, path: KeyPath) -> str:
        """Return the last file in which a key has its merged value; for a key that no file contains, the first file."""
        value = at(self.config, path)
        files = [label for label, content in self.contents.items() if at(content, path) == value]
        if not files:
            return MERGED
        return files[0] if value is _ABSENT else files[-1]


def read_merged(files: Iterable[Path], changes: Settings, section: KeyPath = ()) -> Settings:
    """Return what YAML files contain under the keys `section`, merged in order as Snakemake does, then `changes`.

    A file that cannot be read is left out: `fdistill.config.load` reads it again and reports it.
    """
    merged: Settings = {}
    for file in files:
        try:
            merged = merge(merged, at(read_mapping(file, str(file)), section, {}))
        except UserError:
            continue
    return merge(merged, changes)


def with_types(config: Settings, parsed: Settings, entries: Iterable[str], section: KeyPath = ()) -> Settings:
    """Return `config` with the values of `snakemake --config` read as YAML, as they would be in a file.

    Snakemake has merged `parsed` into it, in which the 1 of `seeds=[1]` is text. `entries` are the arguments
    themselves, `KEY=VALUE`, and `section` is where `config` stands. What somebody has changed since stays as it is.
    Raises UserError for a value that is not YAML.
    """
    typed: Settings = {}
    for entry in entries:
        key, _, value = entry.partition("=")
        typed = merge(typed, {key: read_value(value, f"--config {key}")})
    return _retyped(config, at(parsed, section, {}), at(typed, section, {}))


def _retyped(value: Any, parsed: Any, typed: Any) -> Any:
    if isinstance(value, dict) and isinstance(parsed, dict) and isinstance(typed, dict):
        both = parsed.keys() & typed.keys()
        return {key: _retyped(item, parsed[key], typed[key]) if key in both else item for key, item in value.items()}
    return typed if value == parsed else value


def set_in(settings: Settings, path: KeyPath) -> KeyPath | None:
    """Return the part of `path` that `settings` set: up to a value that is not a mapping, or all of it.

    None if `settings` contain nothing there.
    """
    for depth in range(len(path) + 1):
        value = at(settings, path[:depth])
        if value is not _ABSENT and (depth == len(path) or not isinstance(value, dict)):
            return path[:depth]
    return None


def merge(base: Any, changes: Any) -> Any:
    """Return `base` with `changes` merged key by key; a value that is not a mapping replaces the value in `base`."""
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return deepcopy(changes)
    return deepcopy(base) | {key: merge(base.get(key), value) for key, value in changes.items()}


def at(settings: Any, path: KeyPath, default: Any = _ABSENT) -> Any:
    """Return the value at a path of keys, or `default`."""
    for key in path:
        try:
            settings = settings[key]
        except (KeyError, IndexError, TypeError):
            return default
    return settings
