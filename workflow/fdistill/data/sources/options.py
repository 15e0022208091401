"""The options of a source as a schema, from the dataclass that its module reads them into."""

import types
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import Schema

T = TypeVar("T")

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


def read_options(cls: type[T], options: dict[str, Any]) -> T:
    """The dataclass `cls` from a task file's `source:` mapping (less its `kind`), with lists as tuples.

    Raises UserError for a key that `cls` does not have, for one that it needs, and for a value of the wrong type;
    whole numbers are above 0.
    """
    hints, known = get_type_hints(cls), [field.name for field in fields(cls)]
    given = {key: value for key, value in options.items() if key != "kind"}
    for key, value in given.items():
        if key not in known:
            raise UserError(f"source.{key}: unknown option; known: {', '.join(known)}")
        if not _fits(value, hints[key]):
            raise UserError(f"source.{key}: {value!r} is not {_in_words(hints[key])}")
    for field in fields(cls):
        if field.default is MISSING and field.default_factory is MISSING and field.name not in given:
            raise UserError(f"source.{field.name}: missing; give {_in_words(hints[field.name])}")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})


def _fits(value: Any, hint: Any) -> bool:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return any(_is(value, get_origin(kind) or kind) for kind in kinds)


def _is(value: Any, kind: type) -> bool:
    if kind is int:
        return type(value) is int and value > 0
    if kind is float:
        return type(value) in (int, float)
    return isinstance(value, list if kind is tuple else kind)


def _in_words(hint: Any) -> str:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return " or ".join(_WORDS[get_origin(kind) or kind] for kind in kinds)


_WORDS = {
    int: "a whole number above 0",
    float: "a number",
    str: "text",
    tuple: "a list",
    list: "a list",
    dict: "a mapping",
    NoneType: "null",
}
