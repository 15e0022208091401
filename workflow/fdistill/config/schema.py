"""The configuration's schema as Python: its sections, the defaults, and in words what a value may be."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from fdistill.artifacts.yaml_files import read_mapping
from fdistill.runtime.validation import Schema, chosen

SCHEMA_FILE = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"
# Keys of `training` that decide how far a run gets, and nothing of what it has made when it gets to its end.
SAFEGUARDS = ("max_skipped_steps", "checkpoint_minutes")
STUDY = "study"


@cache
def _document() -> Schema:
    return read_mapping(SCHEMA_FILE, SCHEMA_FILE.name)


@cache
def section(name: str) -> Schema:
    """The schema of `study` (config/config.yaml) or of an entry of `$defs`, with every `$ref` written out."""
    document = _document()
    if name != STUDY:
        return _written_out(document["$defs"][name], document["$defs"])
    study = _written_out({key: value for key, value in document.items() if key != "$defs"}, document["$defs"])
    overrides = study["properties"]["task_overrides"]
    overrides["additionalProperties"] = nothing_required(overrides["additionalProperties"])
    return study


def _written_out(node: Any, definitions: Schema) -> Any:
    if isinstance(node, list):
        return [_written_out(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:  # what stands beside a reference comes before what it refers to
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _written_out(definitions[node["$ref"].removeprefix("#/$defs/")] | beside, definitions)
    return {key: _written_out(value, definitions) for key, value in node.items()}


def nothing_required(node: Any) -> Any:
    """The schema of a part of what `node` describes: the same, with no key required."""
    if isinstance(node, list):
        return [nothing_required(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: nothing_required(value)
        for key, value in node.items()
        if not (key == "required" and isinstance(value, list))
    }


def fill_defaults(value: Any, schema: Schema, around: dict[str, Any] | None = None) -> Any:
    """A copy of `value` with the schema's default for every key that it leaves out, at every depth.

    A default that belongs to some choices only (`only_for`) is filled in for those, unless it is null.
    """
    if isinstance(value, list) and "items" in schema:
        return [fill_defaults(item, schema["items"]) for item in value]
    if not isinstance(value, dict):
        return deepcopy(value)
    filled = dict(value)
    for key, child in schema.get("properties", {}).items():
        if key not in filled and "default" in child:
            if child["default"] is not None and not chosen(child.get("only_for"), filled, around):
                continue
            filled[key] = child["default"]
    return {key: fill_defaults(item, schema.get("properties", {}).get(key, {}), filled) for key, item in filled.items()}
