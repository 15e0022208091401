"""MkDocs hook: the configuration reference, made from the schema and the registries whenever the site is built."""

import json
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow"))  # this folder's library, whichever is installed

from fdistill.config.schema import section
from fdistill.data.sources import SOURCES, source_module
from fdistill.data.sources.options import options_schema
from fdistill.evaluation.metrics import METRICS, texts
from fdistill.runtime.value_schemas import Schema, allowed

PAGE, MARKER = "configuration.md", "<!-- the schema -->"
SECTIONS = {"study": "A study", "task": "A task", "methods": "Methods", "claims": "Claims"}
SHORT_HEAD = "| key | value | default |\n| --- | --- | --- |"
HEAD = "| key | value | default | meaning |\n| --- | --- | --- | --- |"


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the reference in the place of the marker."""
    return markdown.replace(MARKER, reference()) if page.file.src_uri == PAGE else markdown


def reference() -> str:
    """Return every key as Markdown: one heading per mapping, one table row per key."""
    parts = []
    for name, title in SECTIONS.items():
        schema = section(name)
        if name in ("methods", "claims"):  # a mapping of names of the user's choice to entries of one form
            schema = schema["additionalProperties"] | {"description": schema["description"]}
        parts += [f"## {title}", *_mapping(schema, "")]
    parts += ["## Sources", "Options of `source` beside `kind`, by kind.", *_sources()]
    parts += ["## Metric options", "Options of `metric_options`, by metric.", *_metric_options()]
    return "\n\n".join(parts)


def _sources() -> Iterator[str]:
    """A heading and a table per kind of source, from the dataclass that its module reads options into."""
    for kind in SOURCES:
        module = source_module(kind)
        schema = options_schema(kind, module.Options)
        yield f"### `kind: {kind}`"
        yield _first_sentence(module.__doc__)
        yield SHORT_HEAD + "".join(
            f"\n| `{field.name}` | {_escaped(allowed(schema['properties'][field.name]))} | {_default(field.default)} |"
            for field in fields(module.Options)
        )


def _metric_options() -> Iterator[str]:
    """One table: what all metrics share, then each metric's own."""
    known = {"all": texts.OPTIONS, **{key: metric.own_options for key, metric in METRICS.items()}}
    yield "\n".join(
        [
            "| metric | option | value | meaning |",
            "| --- | --- | --- | --- |",
            *(
                f"| `{metric}` | `{name}` | {_escaped(allowed(schema))} | {_escaped(_sentence(schema))} |"
                for metric, options in known.items()
                for name, schema in options.items()
            ),
        ]
    )


def _default(value: Any) -> str:
    return "required" if value is MISSING else f"`{json.dumps(value)}`"


def _first_sentence(text: str) -> str:
    return _escaped(text.split("\n\n")[0].replace("\n", " "))


def _mapping(schema: Schema, path: str) -> Iterator[str]:
    """The description and the table of a mapping, then those of the mappings in it."""
    yield _sentence(schema)
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    rows = [_row(key, child, key in required) for key, child in properties.items()]
    yield "\n".join([HEAD, *rows])
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
