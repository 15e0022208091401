"""The configuration's schema: its sections with references resolved, and its defaults."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from fdistill.artifacts.yaml_files import read_mapping
from fdistill.runtime.validation import chosen
from fdistill.runtime.value_schemas import Schema

SCHEMA_FILE = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"
# Keys of `training` that influence whether a run reaches its end, but not the model that it then has.
SAFEGUARDS = ("max_skipped_steps", "checkpoint_minutes")
STUDY = "study"


@cache
def _document() -> Schema:
    return read_mapping(SCHEMA_FILE, SCHEMA_FILE.name)


@cache
def section(name: str) -> Schema:
    """Return the schema of `study` (config/config.yaml) or of an entry of `$defs`, with every `$ref` resolved.

    `model.teacher` is the key `teacher` of the section `model`.
    """
    document = _document()
    if "." in name:
        outer, _, key = name.rpartition(".")
        return section(outer)["properties"][key]
    if name != STUDY:
        return _resolved(document["$defs"][name], document["$defs"])
    study = _resolved({key: value for key, value in document.items() if key != "$defs"}, document["$defs"])
    overrides = study["properties"]["task_overrides"]
    overrides["additionalProperties"] = nothing_required(overrides["additionalProperties"])
    return study


def _resolved(node: Any, definitions: Schema) -> Any:
    if isinstance(node, list):
        return [_resolved(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:  # keys beside a reference override those of the definition; properties are added to its own
        own_keys = {key: value for key, value in node.items() if key != "$ref"}
        definition = definitions[node["$ref"].removeprefix("#/$defs/")]
        if "properties" in own_keys:
            own_keys["properties"] = definition["properties"] | own_keys["properties"]
        return _resolved(definition | own_keys, definitions)
    return {key: _resolved(value, definitions) for key, value in node.items()}


def nothing_required(node: Any) -> Any:
    """Return the schema `node` with no key required, for mappings that contain only changes."""
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
    """Return a copy of `value` with the schema's default for every missing key, at every depth.

    A key with `only_for` receives its default only where that condition is met, except a default of null, which is
    always filled in. `around` is the mapping that contains `value`.
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
