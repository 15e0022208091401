"""Shapes of JSON: the keys that a file of this workflow has, and the types of their values.

A shape is `str`, `int`, `float` (any number), `bool`, `list`, `dict`, or None for null; `AtLeast`, a number; `{key:
shape}`, a mapping with at least these keys, of which `"key?"` may be missing; `{...: shape}`, a mapping with any keys;
`[shape]`, a list, and `ListOf`, one of a fixed length; `Ascending`, numbers in order; a text, exactly this one; or a
tuple of shapes, of which one fits.
"""

import json
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Shape = Any


@dataclass(frozen=True)
class AtLeast:
    """A number of type `kind` that is not below `least`; with `is_open`, not `least` itself either."""

    kind: type
    least: int = 0
    is_open: bool = False


@dataclass(frozen=True)
class ListOf:
    """A list of `length` values of one shape."""

    shape: Shape
    length: int


@dataclass(frozen=True)
class Ascending:
    """Numbers of which none is below the one before it: a list, or the values of a mapping in the order of `shape`."""

    shape: Shape


COUNT = AtLeast(int)
INTERVAL = Ascending(ListOf(float, 2))  # [low, high]
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}
_NAMES |= {dict: "a mapping", None: "null"}


def parse(text: str, shape: Shape = dict) -> Any:
    """Return the value of a JSON text, which may begin with a byte-order mark, as some editors save it.

    Raises ValueError for all else, for a key that a mapping has twice, and for a value of another shape.
    """
    try:
        value = json.loads(text.removeprefix("\ufeff"), parse_constant=_no_number, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    if wrong := mistake(value, shape):
        raise ValueError(wrong)
    return value


def mistake(value: Any, shape: Shape, place: str = "") -> str | None:
    """Return what is wrong with `value`, with the place of the first mistake in it; None if it has the shape."""
    if isinstance(shape, tuple):
        return _mistake_of_all(value, shape, place)
    if isinstance(shape, str):
        return None if value == shape else _expected(value, shape, place)
    if isinstance(shape, AtLeast):
        fits = _has_type(value, shape.kind) and (value > shape.least or (value == shape.least and not shape.is_open))
        return None if fits else _expected(value, shape, place)
    if isinstance(shape, ListOf):
        fits = isinstance(value, list) and len(value) == shape.length
        return mistake(value, [shape.shape], place) if fits else _expected(value, shape, place)
    if isinstance(shape, Ascending):
        return mistake(value, shape.shape, place) or _descent(value, shape.shape, place)
    if not _has_type(value, type(shape) if isinstance(shape, dict | list) else shape):
        return _expected(value, shape, place)
    if isinstance(shape, list):
        items = [(item, shape[0], f"{place}[{number}]") for number, item in enumerate(value)]
    elif isinstance(shape, dict):
        fixed = {key.removesuffix("?"): child for key, child in shape.items() if key is not ...}
        if missing := [key for key in shape if key is not ... and not key.endswith("?") and key not in value]:
            return f"key '{_join(place, missing[0])}' is missing"
        items = [
            (item, fixed.get(key, shape.get(...)), _join(place, key))
            for key, item in value.items()
            if key in fixed or ... in shape
        ]
    else:
        items = []
    return next((wrong for item in items if (wrong := mistake(*item)) is not None), None)


def _mistake_of_all(value: Any, shapes: tuple[Shape, ...], place: str) -> str | None:
    """What is wrong with `value` if none of `shapes` fits: of several mappings, in the one with most of its keys."""
    if any(mistake(value, shape) is None for shape in shapes):
        return None
    mappings = [shape for shape in shapes if isinstance(shape, dict)] if isinstance(value, dict) else []
    if not mappings:
        return _expected(value, shapes, place)
    return mistake(value, max(mappings, key=lambda shape: len(shape.keys() & value.keys())), place)


def _descent(value: list | dict, shape: Shape, place: str) -> str | None:
    """The first number of `value` that is below the one before it."""
    keys = list(shape) if isinstance(shape, dict) else range(len(value))
    for before, after in pairwise(keys):
        if value[after] < value[before]:
            names = [_join(place, key) if isinstance(shape, dict) else f"{place}[{key}]" for key in (after, before)]
            return f"key '{names[0]}' must not be below '{names[1]}' ({value[after]}, {value[before]})"
    return None


def _has_type(value: Any, kind: type | None) -> bool:
    if kind is None:
        return value is None
    if kind in (int, float):
        numbers = int if kind is int else int | float
        # Without those that are no result, and overflow where sums and squares are taken.
        return isinstance(value, numbers) and not isinstance(value, bool) and abs(value) <= _LARGEST[kind]
    return isinstance(value, kind)


_LARGEST = {int: 2**63 - 1, float: 1e100}


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _expected(value: Any, shape: Shape, place: str) -> str:
    names = dict.fromkeys(map(_name, shape if isinstance(shape, tuple) else (shape,)))
    found = json.dumps(value, ensure_ascii=False) if not isinstance(value, dict | list) else _NAMES[type(value)]
    what = f"key '{place}'" if place else "it"
    return f"{what} must be {' or '.join(names)}, not {found if len(found) <= 40 else found[:36] + ' ...'}"


def _name(shape: Shape) -> str:
    if isinstance(shape, str):
        return f"'{shape}'"
    if isinstance(shape, AtLeast):
        return f"{_NAMES[shape.kind]} {'above' if shape.is_open else 'of at least'} {shape.least}"
    if isinstance(shape, ListOf):
        return f"a list of {shape.length}"
    if isinstance(shape, Ascending):
        return f"{_name(shape.shape)} in ascending order"
    return _NAMES[shape if isinstance(shape, type | None) else type(shape)]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The mapping of JSON's pairs, of which `json` would keep the last one of a key."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"key '{twice}' occurs twice")
    return mapping


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")
