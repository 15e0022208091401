"""MkDocs hook: the configuration reference, made from the configuration's schema whenever the site is built."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow"))  # this folder's library, whichever is installed

from fdistill.config.schema import section
from fdistill.runtime.validation import Schema, allowed

PAGE, MARKER = "configuration.md", "<!-- the schema -->"
SECTIONS = {"study": "A study", "task": "A task", "methods": "Methods"}
PARTS = 3  # levels of headings below a section, as `training.teacher.epochs`; deeper keys are dotted


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the sections of the schema in the place of the marker."""
    return markdown.replace(MARKER, reference()) if page.file.src_uri == PAGE else markdown


def reference() -> str:
    """Every key of the schema as Markdown: one heading per mapping, one table row per key."""
    parts = []
    for name, title in SECTIONS.items():
        schema = section(name)
        if name == "methods":  # a mapping of names of the user's choice to entries of one form
            schema = schema["additionalProperties"] | {"description": schema["description"]}
        parts += [f"## {title}", *_mapping(schema, "")]
    return "\n\n".join(parts)


def _mapping(schema: Schema, path: str) -> Iterator[str]:
    """The description and the table of a mapping, then those of the mappings in it."""
    yield _sentence(schema)
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    rows = [_row(key, child, key in required) for key, child in properties.items()]
    yield "\n".join(["| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows])
    for key, child in properties.items():
        inner = child["items"] if child.get("type") == "array" else child
        if inner.get("properties"):
            dotted = f"{path}.{key}".lstrip(".")
            yield f"### `{dotted}`"
            yield from _mapping(inner | {"description": child.get("description", "")}, dotted)


def _row(key: str, schema: Schema, is_required: bool) -> str:
    meaning = " ".join([_sentence(schema), *_conditions(schema)])
    default = "required" if is_required else f"`{json.dumps(schema['default'])}`" if "default" in schema else "–"
    return f"| `{key}` | {_escaped(allowed(schema))} | {default} | {_escaped(meaning)} |"


def _sentence(schema: Schema) -> str:
    text = schema.get("description", "").strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def _conditions(schema: Schema) -> Iterator[str]:
    for keyword, words in (("needed_for", "Required with"), ("only_for", "Only with")):
        for key, values in schema.get(keyword, {}).items():
            yield f"{words} {key} {' or '.join(f'`{value}`' for value in values)}."


def _escaped(text: Any) -> str:
    return str(text).replace("|", "\\|").replace("<", "&lt;")
