"""Strict reading of YAML files that users write: mistakes are reported with their line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from fdistill.runtime.errors import UserError

# The C parser if PyYAML has it, as its wheels do: it is faster, and every start of Snakemake reads the configuration.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_mapping(path: Path, label: str) -> dict[str, Any]:
    """Return the mapping in a YAML file, which messages call `label`.

    Raises UserError with one line per mistake: the file is missing, not UTF-8, not YAML, empty or not a mapping, or
    contains a key twice or one that is not text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{label}: no such file") from None
    except OSError as error:
        raise UserError(f"{label}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{label}: not UTF-8 text ({error}); save it as UTF-8") from None
    try:
        loader = LOADER(text)
        node = loader.get_single_node()
        mistakes = list(_mistakes(node))
        if not mistakes:
            return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mistakes = [_syntax(error, text)]
    except yaml.YAMLError as error:  # a character that YAML does not allow anywhere
        mistakes = [f"not YAML: {' '.join(str(error).split())}; remove that character"]
    raise UserError("\n".join(f"{label}: {mistake}" for mistake in mistakes))


def _mistakes(root: yaml.Node | None) -> Iterator[str]:
    """Yield the mistakes of a file that is valid YAML."""
    if root is None:
        yield "line 1: the file is empty; write its keys as 'key: value' lines, or delete it"
    elif not isinstance(root, yaml.MappingNode):
        kind = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        yield f"{_line(root)}: the file contains {kind}, not a mapping; write 'key: value' lines"
    else:
        yield from _bad_keys(root, ())


def _bad_keys(node: yaml.Node, ancestors: tuple[yaml.Node, ...]) -> Iterator[str]:
    """Yield the keys inside `node` that are given twice or are not text; `ancestors` are the nodes that contain it."""
    if node in ancestors:
        yield f"{_line(node)}: the mapping or list contains itself, by an alias (*); write it out"
        return
    ancestors = (*ancestors, node)
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _bad_keys(item, ancestors)
    elif isinstance(node, yaml.MappingNode):
        first: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":  # <<: *anchor
                continue
            if key.tag != "tag:yaml.org,2002:str":
                shown = key.value if isinstance(key, yaml.ScalarNode) else "here"
                yield f"{_line(key)}: the key {shown} is not text; put it in quotes"
            elif key.value in first:
                earlier = _line(first[key.value])
                yield f"{_line(key)}: the key '{key.value}' is given twice (first on {earlier}); keep one"
            else:
                first[key.value] = key
            yield from _bad_keys(value, ancestors)


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _syntax(error: yaml.MarkedYAMLError, text: str) -> str:
    number = (error.problem_mark or error.context_mark).line
    line = "".join(text.splitlines()[number : number + 1])
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return f"line {number + 1}: indented with a tab; use spaces"
    what = ", ".join(part for part in (error.context, error.problem) if part)
    return f"line {number + 1}: not YAML ({what}); check indentation, quotes and brackets there and just before"
