"""Flags made from the configuration's schema: a section of it becomes a group of flags.

The key `learning_rate` of a section (`training`, `text`, `sampling`, ...) becomes `--learning-rate`; the word `none`
means null. `flags` writes the arguments that `read_flags` reads.
"""

import argparse
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from fdistill.config.schema import section
from fdistill.runtime.validation import show
from fdistill.runtime.value_schemas import Schema, allowed, text_mistake, types, within

NULL = "none"


def add_flags(parser: argparse.ArgumentParser, name: str, prefix: str = "", keys: Sequence[str] | None = None) -> None:
    """Add a flag for every key of section `name`, or for `keys`.

    A `prefix` distinguishes keys that two sections of one script have in common.
    """
    schema = section(name)
    group = parser.add_argument_group(prefix.rstrip("-") or name, schema["description"])
    for key in keys or schema["properties"]:
        add_flag(group, _flag(prefix, key), schema["properties"][key], required=key in schema.get("required", []))


def read_flags(args: argparse.Namespace, name: str, prefix: str = "") -> dict[str, Any]:
    """Return the settings of section `name`, with the schema's defaults, from arguments of `add_flags`."""
    values = {key: getattr(args, _flag(prefix, key)[2:].replace("-", "_")) for key in section(name)["properties"]}
    return {key: list(value) if isinstance(value, list) else value for key, value in values.items()}


def flags(name: str, settings: dict[str, Any], prefix: str = "", keys: Sequence[str] | None = None) -> list[str]:
    """Return the arguments from which `read_flags` reads `settings` of section `name`, or those of `keys` alone.

    Keys that `settings` leave out receive their defaults there. Raises KeyError for unknown and for missing keys.
    """
    schema = section(name)
    unknown = settings.keys() - schema["properties"].keys()
    missing = set(schema.get("required", [])) - settings.keys()
    if unknown or missing:
        raise KeyError(f"section {name}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    arguments = []
    for key in keys or settings:
        flag, value = _flag(prefix, key), settings[key]
        # Flag and value are one argument, because a text or a number may begin with a dash.
        arguments += [flag, *value] if isinstance(value, list) else [f"{flag}={_as_argument(value)}"]
    return arguments


def add_override_flags(parser: argparse.ArgumentParser, name: str, keys: Sequence[str], otherwise: str) -> None:
    """Add flags for `keys` of section `name` that change settings from elsewhere; `otherwise` says what holds without.

    `read_overrides` returns those that are given.
    """
    schema = section(name)
    group = parser.add_argument_group(name, schema["description"])
    for key in keys:
        add_flag(group, _flag("", key), {**schema["properties"][key], "default": None}, otherwise=otherwise)


def read_overrides(args: argparse.Namespace, keys: Sequence[str]) -> dict[str, Any]:
    """Return the values of the flags of `add_override_flags` that were given."""
    return {key: getattr(args, key) for key in keys if getattr(args, key) is not None}


def add_flag(group: Any, flag: str, schema: Schema, required: bool = False, otherwise: str = "") -> None:
    """Add one flag with the type, range, default and description of `schema`.

    `otherwise` says in the help what holds without the flag, if that is not the default.
    """
    is_list = "array" in types(schema)
    value = schema["items"] if is_list else schema
    notes = [] if _choices(value) else [allowed(schema, NULL)]
    notes += [f"with {key} {' or '.join(values)}" for key, values in schema.get("only_for", {}).items()]
    notes.append("required" if required else otherwise or f"default: {_shown(schema['default'])}")
    group.add_argument(
        flag,
        type=reader(value),
        nargs="*" if is_list else None,
        required=required,
        default=schema.get("default"),
        metavar=_metavar(value),
        help=f"{schema['description']} ({'; '.join(notes)})".replace("%", "%%"),
    )


def _flag(prefix: str, key: str) -> str:
    return f"--{prefix}{key.replace('_', '-')}"


def _as_argument(value: Any) -> str:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)


def _shown(default: Any) -> str:
    return " ".join(default) or "nothing" if isinstance(default, list) else _as_argument(default) or "nothing"


def _choices(schema: Schema) -> list[str]:
    if "boolean" in types(schema):
        return ["true", "false", *([NULL] if "null" in types(schema) else [])]
    return schema.get("enum", [])


def _metavar(schema: Schema) -> str:
    if choices := _choices(schema):
        return f"{{{','.join(map(_as_argument, choices))}}}"
    return {"integer": "INT", "number": "FLOAT", "string": "TEXT"}[types(schema)[0]]


def reader(schema: Schema) -> Callable[[str], Any]:
    """Return a function that parses an argument, or refuses it with a message that says what is allowed."""

    def read(text: str) -> Any:
        if text == NULL and "null" in types(schema):
            return None
        try:
            value = _parse(text, schema)
        except (ValueError, KeyError):
            raise refusal(text) from None
        if not within(value, schema):
            raise refusal(text)
        return value

    def refusal(text: str) -> argparse.ArgumentTypeError:
        reason = text_mistake(text, schema) if "string" in types(schema) else None
        reason = reason or f"is not allowed; must be {allowed(schema, NULL)}"
        return argparse.ArgumentTypeError(f"'{show(text)[1:-1]}' {reason}")

    return read


def _parse(text: str, schema: Schema) -> Any:
    if "enum" in schema:
        return {choice: choice for choice in schema["enum"]}[text]
    kind = types(schema)[0]
    if kind == "boolean":
        return {"true": True, "false": False}[text]
    if kind == "integer":
        if not re.fullmatch("[+-]?[0-9]+", text):  # Python reads 1_000 and other scripts' digits too
            raise ValueError(text)
        return int(text)
    if kind == "number":
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    return text
