"""The JSON Schema of one value: whether it allows a value, and in words which values it allows."""

import math
import operator
import re
from typing import Any

Schema = dict[str, Any]

_BOUNDS = {
    "minimum": (">=", operator.ge),
    "exclusiveMinimum": (">", operator.gt),
    "maximum": ("<=", operator.le),
    "exclusiveMaximum": ("<", operator.lt),
}


def types(schema: Schema) -> list[str]:
    """Return the JSON types that a value may have."""
    type_or_types = schema.get("type", [])
    return [type_or_types] if isinstance(type_or_types, str) else type_or_types


def within(value: Any, schema: Schema) -> bool:
    """Return whether a number is within the bounds of `schema`, and a text is one of those that it allows."""
    if isinstance(value, str):
        return text_mistake(value, schema) is None
    return all(_BOUNDS[key][1](value, schema[key]) for key in _BOUNDS if key in schema)


def text_mistake(text: str, schema: Schema) -> str | None:
    """Return what is wrong with a text; None if `schema` allows it."""
    if len(text) > schema.get("maxLength", math.inf):
        return f"has {len(text):,} characters; at most {schema['maxLength']:,} are allowed"
    if re.search(schema.get("pattern", ""), text):
        return None
    return "is empty; write some text" if not text.strip() else f"contains {_control_characters(text)}; remove it"


def _control_characters(text: str) -> str:
    """Return the first character that no text of the configuration may have, as `the control character U+0000`."""
    found = re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", text)
    return f"the control character U+{ord(found[0]):04X}" if found else "characters that are not allowed"


def allowed(schema: Schema, null: str = "null") -> str:
    """Return in words what a value may be, such as `an integer >= 1, or null`; `null` is the word for null."""
    if "enum" in schema:
        return "one of " + ", ".join(null if value is None else str(value) for value in schema["enum"])
    if "oneOf" in schema:
        return ", or ".join(allowed(choice, null) for choice in schema["oneOf"])
    words = {
        "integer": "an integer" + _range(schema),
        "number": "a number" + _range(schema),
        "string": "text",
        "boolean": "true or false",
        "array": "a list" + _items(schema, null),
        "object": "a mapping" + (" with at least one entry" if schema.get("minProperties") else ""),
        "null": null,
    }
    return ", or ".join(words[name] for name in types(schema)) or "anything"


def _range(schema: Schema) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f" from {schema['minimum']} to {schema['maximum']}"
    return " and".join(f" {sign} {schema[key]}" for key, (sign, _) in _BOUNDS.items() if key in schema)


def _items(schema: Schema, null: str) -> str:
    details = [f"each {allowed(schema['items'], null)}"] if "items" in schema else []
    if "minItems" in schema:
        exactly = schema["minItems"] == schema.get("maxItems")
        details.append(f"{'exactly' if exactly else 'at least'} {schema['minItems']}")
    if schema.get("maxItems", schema.get("minItems")) != schema.get("minItems"):
        details.append(f"at most {schema['maxItems']}")
    if schema.get("uniqueItems"):
        details.append("no duplicates")
    return f" ({'; '.join(details)})" if details else ""
