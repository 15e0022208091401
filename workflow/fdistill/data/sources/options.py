"""The options of a source, declared as a dataclass: read from a task file's `source:`, or described as a schema."""

import types
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from fdistill.runtime.errors import UserError
from fdistill.runtime.value_schemas import Schema

T = TypeVar("T")


def read_options(cls: type[T], options: dict[str, Any]) -> T:
    """Return the dataclass `cls` filled from a task file's `source:` mapping; `kind` is ignored, lists become tuples.

    Raises UserError for an unknown key, a missing one, or a value of the wrong type. Whole numbers must be above 0.
    """
    hints, known = get_type_hints(cls), [field.name for field in fields(cls)]
    given = {key: value for key, value in options.items() if key != "kind"}
    for key, value in given.items():
        if key not in known:
            raise UserError(f"source.{key}: unknown option; known: {', '.join(known)}")
        if not _fits(value, hints[key]):
            raise UserError(f"source.{key}: {value!r} is not {_in_words(hints[key])}")
    for name in _required(cls):
        if name not in given:
            raise UserError(f"source.{name}: missing; give {_in_words(hints[name])}")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})


def check_bounds(key: str, bounds: tuple[Any, ...]) -> None:
    """Raise UserError unless an option's value is the fewest and the most of something, whole numbers >= 0."""
    if [type(bound) for bound in bounds] != [int, int] or not 0 <= bounds[0] <= bounds[1]:
        text = f"{list(bounds)} is not [fewest, most], two whole numbers in this order"
        raise UserError(f"source.{key}: {text}, from 0 on")


def options_schema(kind: str, options: type) -> Schema:
    """Return the schema of `source:` for a kind: the key `kind`, and a key per field of the dataclass `options`.

    A field's metadata may have a `description`.
    """
    hints = get_type_hints(options)
    description = {"description": f"An option of source '{kind}'."}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(_required(options)),
        "properties": {"kind": {"type": "string"}}
        | {field.name: _schema(hints[field.name]) | description | field.metadata for field in fields(options)},
    }


def _required(cls: type) -> Iterable[str]:
    """The names of the fields without a default."""
    return (f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type of a hint."""
    return any(_is(value, get_origin(kind) or kind) for kind in _alternatives(hint))


def _is(value: Any, kind: type) -> bool:
    if kind is int:
        return type(value) is int and value > 0
    if kind is float:
        return type(value) in (int, float)
    return isinstance(value, list if kind is tuple else kind)


def _in_words(hint: Any) -> str:
    """A type as a message names it: "a whole number above 0 or null"."""
    return " or ".join(_WORDS[get_origin(kind) or kind] for kind in _alternatives(hint))


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of a union; the type itself if it is none."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


_WORDS = {
    int: "a whole number above 0",
    float: "a number",
    str: "text",
    tuple: "a list",
    list: "a list",
    dict: "a mapping",
    types.NoneType: "null",
}
_NAMES = {int: "integer", float: "number", str: "string", bool: "boolean", types.NoneType: "null"}


def _schema(hint: Any) -> Schema:
    """The schema of a type: int, float, str, bool, `X | None`, list or tuple of X, dict; others accept any value."""
    if hint in _NAMES:
        return {"type": _NAMES[hint]}
    if len(choices := _alternatives(hint)) > 1:
        return {"oneOf": [_schema(choice) for choice in choices]}
    origin, inner = get_origin(hint), get_args(hint)
    if origin is dict:
        return {"type": "object"}
    if origin in (list, tuple):
        fixed = origin is tuple and inner[-1] is not Ellipsis
        count = {"minItems": len(inner), "maxItems": len(inner)} if fixed else {}
        return {"type": "array", "items": _schema(inner[0])} | count
    return {}
