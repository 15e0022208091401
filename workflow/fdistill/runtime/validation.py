"""Checks settings against a JSON Schema and describes every mistake by its key and by what is allowed there."""

import difflib
import json
import math
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from fdistill.runtime.redaction import without_credentials
from fdistill.runtime.value_schemas import Schema, allowed, text_mistake, types

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One mistake: the path of keys to it, and a text that says what is wrong and what to do."""

    path: KeyPath
    text: str

    def under(self, *path: str | int) -> "Problem":
        """Return the same mistake with `path` before its own, as an enclosing mapping sees it."""
        return Problem((*path, *self.path), self.text)

    def line(self, file: str) -> str:
        """Return the message, such as `config/tasks/xsum.yaml: training.teacher.freeze[0]: ...`, without passwords."""
        line = without_credentials(": ".join(part for part in (file, dotted(self.path), self.text) if part))
        return printable(line if len(line) <= 1000 else f"{line[:996]} ...")


def dotted(path: KeyPath) -> str:
    """Return a path of keys as text, such as `training.teacher.freeze[0]`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{show(key)[1:-1]}" for key in path).removeprefix(".")


def problems(settings: dict[str, Any], schema: Schema) -> list[Problem]:
    """Return the mistakes of `settings`, each once: unknown and missing keys, wrong types, values out of range."""
    unique: dict[Problem, None] = {}
    for error in _validator(schema).iter_errors(settings):
        path, value, subschema = tuple(error.absolute_path), error.instance, error.schema
        if error.validator == "additionalProperties":
            known = subschema["properties"]
            new = [Problem((*path, key), f"unknown key; {nearest(key, known)}") for key in value if key not in known]
        elif error.validator == "required":
            new = [
                _missing((*path, key), subschema["properties"][key])
                for key in subschema["required"]
                if key not in value
            ]
        else:
            new = [Problem(path, not_allowed(value, subschema))]
        unique |= dict.fromkeys(new)
    return list(unique | dict.fromkeys(_passwords(settings)))


def _passwords(settings: Any) -> Iterator[Problem]:
    """Find URLs with user information, before a command, a log or a file of Snakemake's contains them."""
    for path, value in leaves(settings):
        if isinstance(value, str) and without_credentials(value) != value:
            reason = "contains a password or a user's name, which Snakemake would write into its log with the command"
            yield Problem(path, f"{reason}; remove it, and write it into ~/.netrc or HF_TOKEN")


def _validator(schema: Schema) -> Any:
    """Return a validator with Python's types: JSON Schema accepts 8.0 as an integer, and YAML can write infinity.

    Its `uniqueItems` takes time in proportion to the list; jsonschema's may compare every pair.
    """
    from jsonschema import Draft202012Validator  # imported here: a script that only reads flags does not need it
    from jsonschema.validators import extend

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and (isinstance(value, int) or math.isfinite(value))
            ),
        }
    )
    return extend(Draft202012Validator, {"uniqueItems": _unique_items}, type_checker=checker)(schema)


def _unique_items(_validator: Any, unique: bool, items: Any, _schema: Schema) -> Iterator[Any]:
    from jsonschema import ValidationError

    if unique and isinstance(items, list) and len(set(map(repr, items))) < len(items):
        yield ValidationError("duplicates")


def condition_problems(settings: Any, schema: Schema, around: dict[str, Any] | None = None) -> Iterator[Problem]:
    """Yield a problem for each key that a choice needs and that is missing, or that the choice does not use.

    These are the schema's keywords `needed_for` and `only_for`. `settings` must have its defaults and no mistake that
    `problems` would return; `around` is the mapping that contains it.
    """
    if isinstance(settings, list):
        for index, item in enumerate(settings):
            yield from (problem.under(index) for problem in condition_problems(item, schema.get("items", {})))
    if not isinstance(settings, dict):
        return
    for key, child in schema.get("properties", {}).items():
        value, only, needed = settings.get(key), child.get("only_for"), child.get("needed_for")
        if value is not None and not chosen(only, settings, around):
            chooser, values = next(iter(only.items()))
            both = {**(around or {}), **settings}
            choice = f"with {chooser} '{both[chooser]}'" if chooser in both else f"without {chooser}"
            yield Problem(
                (key,),
                f"{show(value)} is not used {choice}, only with {', '.join(values)}; remove it or change {chooser}",
            )
        if value is None and needed and chosen(needed, settings, around):
            chooser = next(iter(needed))
            yield _missing((key,), child, f"{chooser} '{settings[chooser]}' needs it")
        yield from (problem.under(key) for problem in condition_problems(value, child, settings))


def without(settings: dict[str, Any], mistakes: Iterable[Problem]) -> dict[str, Any]:
    """Return a copy of `settings` without the keys that have `mistakes`; a list with a mistake is removed whole."""
    remaining = deepcopy(settings)
    for problem in mistakes:
        keys = problem.path
        keys = keys[: next((i for i, key in enumerate(keys) if isinstance(key, int)), len(keys))]
        inner = remaining
        for key in keys[:-1]:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if keys and isinstance(inner, dict):
            inner.pop(keys[-1], None)
    return remaining


def leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield every value in nested mappings and lists that is neither, and every key, with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key), key
            yield from leaves(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def not_allowed(value: Any, schema: Schema) -> str:
    """Return a message such as `0 is not allowed; must be an integer >= 1 (CPU threads.)`."""
    reason = text_mistake(value, schema) if isinstance(value, str) and "string" in types(schema) else None
    text = f"{show(value)} {reason or f'is not allowed; must be {_remedy(schema)}'}{_description(schema)}"
    number = _as_number(value) if {"integer", "number"} & set(types(schema)) else None
    return text if number is None else f"{text}; to YAML {show(value)} is text, write {number}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `did you mean 'xsum'?` if a known word is similar; otherwise a list of the known words."""
    known = list(known)
    close = difflib.get_close_matches(str(word)[:200], known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known) or 'none'}"


def show(value: Any) -> str:
    """Return a value as YAML writes it (`null`, `true`, `"text"`), shortened to 80 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = printable(text[:81])
    return text if len(text) <= 80 else f"{text[:76]} ..."


def printable(text: str) -> str:
    """Return a text on one line: control characters, lone surrogates and the like are written as escapes."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _missing(path: KeyPath, schema: Schema, why: str = "") -> Problem:
    return Problem(path, f"missing; {why + ': ' if why else ''}set {_remedy(schema)}{_description(schema)}")


def _remedy(schema: Schema) -> str:
    """Return in words what to set: not null where a choice needs the key, as null says that it is not given."""
    if "needed_for" in schema:
        schema = schema | {"type": [name for name in types(schema) if name != "null"]}
    return allowed(schema)


def _description(schema: Schema) -> str:
    return f" ({schema['description']})" if "description" in schema else ""


def _as_number(value: Any) -> str | None:
    """Return the number that `value` was meant as, written so that YAML reads a number: it reads 1e-4 as text."""
    if not isinstance(value, str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    text = repr(int(number)) if "." not in value and "e" not in value.lower() else repr(number)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def chosen(condition: dict[str, list] | None, settings: dict[str, Any], around: dict[str, Any] | None) -> bool:
    """Return whether a condition (`only_for` or `needed_for`) is met: its key has one of its values.

    None, no condition, is always met. The key is looked up in `settings`, then in the mapping `around` it.
    """
    if condition is None:
        return True
    settings = {**(around or {}), **settings}
    return any(settings.get(key) in values for key, values in condition.items())
