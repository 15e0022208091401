"""Strict reading of YAML files that users write, in bounded time: mistakes are reported with their line."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import KeyPath, dotted, show

# The C parser if PyYAML has it, as its wheels do: it is faster, and every start of Snakemake reads the configuration.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# No configuration comes near these limits, and what is within them is read and checked in a second.
MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_VALUES = 10_000  # with every alias (*) written out

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"  # the key of `<<: *anchor`
_KINDS = {  # what a value may be: text, a number, true, false, null, a mapping or a list
    f"{_TAG}{name}": words
    for name, words in {
        "str": "text",
        "int": "an integer of at most 4,300 digits",
        "float": "a number",
        "bool": "true or false",
        "null": "null",
        "map": "a mapping",
        "seq": "a list",
    }.items()
}


def read_mapping(path: Path, label: str) -> dict[str, Any]:
    """Return the mapping in a YAML file, which messages call `label`.

    Raises UserError with one line per mistake: the file is missing, no regular file, too large, not UTF-8, not YAML,
    empty or not a mapping; it is nested too deeply or has too many values; it contains a key twice, a key that is not
    text, or a value of another kind than JSON's.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"{label}: not a regular file; write the settings to one")  # a FIFO would be waited for
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(f"{label}: {size:,} bytes, more than the {MAX_BYTES:,} that a configuration may have")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{label}: no such file") from None
    except OSError as error:
        raise UserError(f"{label}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{label}: not UTF-8 text ({error}); save it as UTF-8") from None
    return _parse(text, label, _mapping_mistakes)


def read_value(text: str, label: str) -> Any:
    """Return the value that a text such as `[1, 2]` has in a YAML file; raises UserError as `read_mapping` does."""
    return _parse(text, label, lambda root: _mistakes(root, ()))


def _parse(text: str, label: str, check: Callable[[yaml.Node | None], Iterator[str]]) -> Any:
    try:
        mistakes = list(_too_deep(text))
        if not mistakes:
            loader = LOADER(text)
            root = loader.get_single_node()
            mistakes = list(_too_many(root)) or list(check(root))
            if not mistakes:
                return None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mistakes = [_syntax(error, text)]
    except yaml.YAMLError as error:  # a character that YAML does not allow anywhere
        mistakes = [f"not YAML: {' '.join(str(error).split())}; remove that character"]
    raise UserError("\n".join(f"{label}: {mistake}" for mistake in mistakes))


def _too_deep(text: str) -> Iterator[str]:
    """Yield a mistake if mappings and lists are nested too deeply. The parser's events come without recursion."""
    depth = 0
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                yield f"{_line(event)}: mappings and lists nested more than {MAX_DEPTH} levels deep; write it flatter"
                return
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _too_many(root: yaml.Node | None) -> Iterator[str]:
    """Yield a mistake if a value contains itself, or if there is too much of it once aliases are written out."""
    sizes: dict[yaml.Node, tuple[int, int] | None] = {}  # number of values and of levels; None while they are counted
    circular = []

    def measure(node: yaml.Node) -> tuple[int, int]:
        """Measure a node once, however many aliases refer to it. They refer back, so that recursion is not deep."""
        if node not in sizes:
            sizes[node] = None
            measured = [measure(child) for child in _children(node)]
            sizes[node] = 1 + sum(count for count, _ in measured), 1 + max((depth for _, depth in measured), default=0)
        elif sizes[node] is None:
            circular.append(node)
        return sizes[node] or (0, 0)

    values, levels = (0, 0) if root is None else measure(root)
    if circular:
        yield f"{_line(circular[0])}: the mapping or list contains itself, by an alias (*); write it out"
    elif values > MAX_VALUES:
        yield f"more than {MAX_VALUES:,} values, counting those that aliases (*) repeat; shorten it"
    elif levels > MAX_DEPTH + 1:
        yield f"mappings and lists nested more than {MAX_DEPTH} levels deep by aliases (*); write it flatter"


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def _mapping_mistakes(root: yaml.Node | None) -> Iterator[str]:
    """Yield the mistakes of a file that is valid YAML and has to be a mapping."""
    if root is None:
        yield "line 1: the file is empty; write its keys as 'key: value' lines, or delete it"
    elif not isinstance(root, yaml.MappingNode):
        kind = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        yield f"{_line(root)}: the file contains {kind}, not a mapping; write 'key: value' lines"
    else:
        yield from _mistakes(root, ())


def _mistakes(node: yaml.Node | None, path: KeyPath) -> Iterator[str]:
    """Yield what is wrong in `node`, the value at `path`."""
    if node is None:
        return
    if reason := _not_a_value(node):
        yield ": ".join(filter(None, (_line(node), dotted(path), reason)))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _mistakes(item, (*path, index))
    elif isinstance(node, yaml.MappingNode):
        yield from _mistakes_of_mapping(node, path)


def _mistakes_of_mapping(node: yaml.MappingNode, path: KeyPath) -> Iterator[str]:
    first: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if key.tag == _MERGE:
            yield from _mistakes(value, path)
        elif key.tag != f"{_TAG}str":
            yield f"{_line(key)}: the key {_shown(key)} is not text; put it in quotes"
        else:
            if key.value in first:
                earlier = _line(first[key.value])
                yield f"{_line(key)}: the key '{_shown(key)}' is given twice (first on {earlier}); keep one"
            first.setdefault(key.value, key)
            yield from _mistakes(value, (*path, _shown(key)))


def _not_a_value(node: yaml.Node) -> str | None:
    """Return why a node is no value of a configuration; None if it is one."""
    if node.tag == f"{_TAG}timestamp":
        return f"{_shown(node)} is a date to YAML; put it in quotes"
    if node.tag not in _KINDS:
        return f"the tag {show(node.tag.replace(_TAG, '!!'))} is not allowed here; remove it, or put text in quotes"
    try:
        if node.tag in (f"{_TAG}int", f"{_TAG}float", f"{_TAG}bool"):
            LOADER("").construct_object(node)
    except (ValueError, KeyError):  # as `!!int "x"` and `!!bool "x"`
        return f"{_shown(node)} is not {_KINDS[node.tag]}; correct it, or put text in quotes"
    return None


def _shown(node: yaml.Node) -> str:
    """Return the text of a key or value, without control characters and shortened."""
    if not isinstance(node, yaml.ScalarNode):
        return "here"
    return show(node.value[:60])[1:-1] + " ..." * (len(node.value) > 60)


def _line(place: yaml.Node | yaml.Event) -> str:
    return f"line {place.start_mark.line + 1}"


def _syntax(error: yaml.MarkedYAMLError, text: str) -> str:
    number = (error.problem_mark or error.context_mark).line
    line = "".join(text.splitlines()[number : number + 1])
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return f"line {number + 1}: indented with a tab; use spaces"
    what = ", ".join(part for part in (error.context, error.problem) if part)
    return f"line {number + 1}: not YAML ({what}); check indentation, quotes and brackets there and just before"
