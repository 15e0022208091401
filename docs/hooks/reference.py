"""MkDocs hook: a page of the library reference for every package, and a warning for every docstring that is missing.

The build is strict, so a warning fails it.
"""

from collections.abc import Iterator
from pathlib import Path

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files

LIBRARY = "fdistill"

log = get_plugin_logger(__name__)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages `reference/PACKAGE.md`."""
    library = griffe.load(LIBRARY, search_paths=[Path(config.docs_dir).parent / "workflow"])
    for name in undocumented(library):
        log.warning("%s has no docstring", name)
    for name, package in sorted(library.modules.items()):
        text = f"# {name}\n\n::: {package.path}\n"
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def undocumented(thing: griffe.Object) -> Iterator[str]:
    """The public modules, classes, functions and methods in `thing` that have no docstring."""
    if not thing.has_docstring:
        yield thing.path
    for member in thing.members.values():
        if not member.is_alias and not member.name.startswith("_") and not member.is_attribute:
            yield from undocumented(member)
