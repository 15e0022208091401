"""What every script shares: its error handling, its log, and flags made from the configuration's schema.

A section of the schema (`training`, `text`, `sampling`, ...) is one group of flags, `--learning-rate` for
`learning_rate`; `none` stands for null. `flags` writes the arguments that `read_flags` reads back.
"""

import argparse
import json
import logging
import math
import operator
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fdistill.artifacts import journal, provenance
from fdistill.config.schema import STUDY, section
from fdistill.runtime import redaction
from fdistill.runtime.errors import UserError
from fdistill.runtime.redaction import redact
from fdistill.runtime.validation import Schema, allowed, types

NULL = "none"
_BOUNDS = {
    "minimum": operator.ge,
    "exclusiveMinimum": operator.gt,
    "maximum": operator.le,
    "exclusiveMaximum": operator.lt,
}


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`; a `UserError` becomes one clear message and exit status 1.

    Its record is left beside its outputs (see `provenance`); secrets stay out of all that it says.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(redaction.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    try:
        with journal.opened() as notes:
            main()
            provenance.write_record(notes)
    except UserError as error:
        sys.exit(f"error: {redact(str(error))}")
    except Exception:  # a bug of the project: its traceback, and exit status 1 as ever
        sys.exit(redact(traceback.format_exc()))


def add_flags(parser: argparse.ArgumentParser, name: str, prefix: str = "", keys: Sequence[str] | None = None) -> None:
    """Add a flag for every key of section `name`, or for `keys`; a `prefix` tells equal keys of two sections apart."""
    schema = section(name)
    group = parser.add_argument_group(prefix.rstrip("-") or name, schema["description"])
    for key in keys or schema["properties"]:
        _add(group, _flag(prefix, key), schema["properties"][key], required=key in schema.get("required", []))


def read_flags(args: argparse.Namespace, name: str, prefix: str = "") -> dict[str, Any]:
    """The settings of section `name`, with the schema's defaults, from the arguments of `add_flags`."""
    values = {key: getattr(args, _flag(prefix, key)[2:].replace("-", "_")) for key in section(name)["properties"]}
    return {key: list(value) if isinstance(value, list) else value for key, value in values.items()}


def flags(name: str, settings: dict[str, Any], prefix: str = "") -> list[str]:
    """The arguments that `read_flags` turns into `settings` of section `name`, and defaults for the rest."""
    schema = section(name)
    unknown = settings.keys() - schema["properties"].keys()
    missing = set(schema.get("required", [])) - settings.keys()
    if unknown or missing:
        raise KeyError(f"section {name}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    arguments = []
    for key, value in settings.items():
        flag = _flag(prefix, key)
        # One word, because a text or a number may begin with a dash.
        arguments += [flag, *value] if isinstance(value, list) else [f"{flag}={_written(value)}"]
    return arguments


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """`--seed`, `--device` and `--threads`, which every script with a model has."""
    group = parser.add_argument_group("run")
    study = section(STUDY)["properties"]
    _add(
        group,
        "--seed",
        {**study["seeds"]["items"], "description": "Seed of every random choice."},
        required=True,
    )
    _add(group, "--device", study["device"])
    _add(group, "--threads", {"description": "CPU threads.", "type": "integer", "minimum": 1, "default": 1})


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """What every script that trains has: data, outputs, how it runs, sections `text`, `training`, `selection`."""
    parser.add_argument("--train", type=Path, required=True, help="training split, Parquet")
    parser.add_argument("--dev", type=Path, required=True, help="development split, Parquet")
    parser.add_argument("--model", type=Path, required=True, help="folder to write: the trained model")
    parser.add_argument("--history", type=Path, required=True, help="JSON lines to write: the training curve")
    add_run_flags(parser)
    add_flags(parser, "text")
    add_flags(parser, "training")
    add_flags(parser, "selection", prefix="selection-")
    parser.add_argument(
        "--metric-options", type=json_mapping, default={}, metavar="JSON",
        help='options by metric name, as {"bleu4": {"lowercase": true}} (default: {})',
    )  # fmt: skip
    add_kept_flag(parser, "--checkpoints", "the state of training")
    add_shard_flag(parser)


def add_kept_flag(parser: argparse.ArgumentParser, flag: str, what: str) -> None:
    """A flag for the folder in which a run keeps what it has done, until all is."""
    parser.add_argument(
        flag, type=Path, metavar="FOLDER",
        help=f"folder that keeps {what} until the end: a run that was cut off goes on from there (default: nothing is "
        "kept)",
    )  # fmt: skip


def add_memory_flag(parser: argparse.ArgumentParser) -> None:
    """`--gpu-memory`, which every script has whose batches may be as large as memory allows."""
    _add(parser, "--gpu-memory", section(STUDY)["properties"]["gpu_memory"])


def add_shard_flag(parser: argparse.ArgumentParser) -> None:
    """`--shard-teacher`, which every script has that runs a teacher on several GPUs."""
    parser.add_argument(
        "--shard-teacher", action="store_true",
        help="the GPUs (processes of torchrun) share the teacher's weights, which one of them cannot hold",
    )  # fmt: skip


def pair(text: str) -> tuple[str, str]:
    """`KEY=VALUE` as a tuple, for `argparse`; the value may have further equals signs."""
    key, _, value = text.partition("=")
    if not (key and value):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form KEY=VALUE")
    return key, value


def json_mapping(text: str) -> dict[str, Any]:
    """A mapping written as JSON, for `argparse`."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not valid JSON ({error}): {text}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"must be a JSON mapping, {{...}}: {text}")
    return value


def _flag(prefix: str, key: str) -> str:
    return f"--{prefix}{key.replace('_', '-')}"


def _written(value: Any) -> str:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)


def _add(group: Any, flag: str, schema: Schema, required: bool = False) -> None:
    """One flag: its type, range, default and description are the schema's."""
    is_list = "array" in types(schema)
    value = schema["items"] if is_list else schema
    notes = [] if _choices(value) else [allowed(schema, NULL)]
    notes += [f"with {key} {' or '.join(values)}" for key, values in schema.get("only_for", {}).items()]
    notes.append("required" if required else f"default: {_shown(schema['default'])}")
    group.add_argument(
        flag,
        type=_reader(value),
        nargs="*" if is_list else None,
        required=required,
        default=schema.get("default"),
        metavar=_metavar(value),
        help=f"{schema['description']} ({'; '.join(notes)})".replace("%", "%%"),
    )


def _shown(default: Any) -> str:
    return " ".join(default) or "nothing" if isinstance(default, list) else _written(default) or "nothing"


def _choices(schema: Schema) -> list[str]:
    if "boolean" in types(schema):
        return ["true", "false", *([NULL] if "null" in types(schema) else [])]
    return schema.get("enum", [])


def _metavar(schema: Schema) -> str:
    if choices := _choices(schema):
        return f"{{{','.join(choices)}}}"
    return {"integer": "INT", "number": "FLOAT", "string": "TEXT"}[types(schema)[0]]


def _reader(schema: Schema) -> Callable[[str], Any]:
    """What turns the text of an argument into its value, or refuses it in the words of `allowed`."""

    def read(text: str) -> Any:
        if text == NULL and "null" in types(schema):
            return None
        try:
            value = _parse(text, schema)
        except (ValueError, KeyError):
            raise refusal(text) from None
        if not all(within(value, schema[key]) for key, within in _BOUNDS.items() if key in schema):
            raise refusal(text)
        return value

    def refusal(text: str) -> argparse.ArgumentTypeError:
        return argparse.ArgumentTypeError(f"'{text}' is not allowed; must be {allowed(schema, NULL)}")

    return read


def _parse(text: str, schema: Schema) -> Any:
    if "enum" in schema:
        return {choice: choice for choice in schema["enum"]}[text]
    kind = types(schema)[0]
    if kind == "boolean":
        return {"true": True, "false": False}[text]
    if kind == "integer":
        return int(text)
    if kind == "number":
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    return text
