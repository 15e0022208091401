"""The options of a source as a schema, from the dataclass that its module reads them into."""

import types
from dataclasses import MISSING, fields
from typing import Any, Union, get_args, get_origin, get_type_hints

from fdistill.runtime.validation import Schema

_NAMES = {int: "integer", float: "number", str: "string", bool: "boolean", types.NoneType: "null"}


def options_schema(kind: str, options: type) -> Schema:
    """The schema of `source:` with this kind: `kind`, and one key per field of the dataclass `options`."""
    hints = get_type_hints(options)
    described = {"description": f"An option of source '{kind}'."}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [f.name for f in fields(options) if f.default is MISSING and f.default_factory is MISSING],
        "properties": {"kind": {"type": "string"}}
        | {field.name: _schema(hints[field.name]) | described for field in fields(options)},
    }


def _schema(hint: Any) -> Schema:
    """The schema of a type: number, text, `X | None`, list or tuple of X, dict; other types take anything."""
    if hint in _NAMES:
        return {"type": _NAMES[hint]}
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"oneOf": [_schema(choice) for choice in inner]}
    if origin is dict:
        return {"type": "object"}
    if origin in (list, tuple):
        counted = origin is tuple and inner[-1] is not Ellipsis
        count = {"minItems": len(inner), "maxItems": len(inner)} if counted else {}
        return {"type": "array", "items": _schema(inner[0])} | count
    return {}
