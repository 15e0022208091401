"""Command lines: what all scripts share, and flags that are generated from the configuration's schema.

A section of the schema (`training`, `text`, `sampling`, ...) becomes a group of flags, such as `--learning-rate` for
`learning_rate`; the word `none` means null. `flags` writes the arguments that `read_flags` reads.
"""

import argparse
import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from fdistill.artifacts import journal, provenance
from fdistill.config.schema import STUDY, section
from fdistill.runtime import redaction
from fdistill.runtime.errors import UserError
from fdistill.runtime.redaction import redact
from fdistill.runtime.validation import Problem, Schema, allowed, problems, show, text_mistake, types, within

NULL = "none"
# Folders that an output may lie in: of unfinished work, which the script itself reads and deletes, and the study's.
FOLDERS = ("shards", "checkpoints", "results")


def run(main: Callable[[], None]) -> None:
    """Run a script's `main` with a log on stderr, and write the provenance record of a run that succeeds.

    A `UserError` becomes one message and exit status 1. Secrets are removed from the log and from messages.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(redaction.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("torch").setLevel(logging.WARNING)  # it logs its caches' statistics when a run is interrupted
    try:
        with journal.opened() as notes:
            main()
            provenance.write_record(notes)
    except UserError as error:
        sys.exit(f"error: {redact(str(error))}")
    except Exception:  # a bug in the project: print its traceback, redacted, and exit with status 1
        sys.exit(redact(traceback.format_exc()))


def add_flags(parser: argparse.ArgumentParser, name: str, prefix: str = "", keys: Sequence[str] | None = None) -> None:
    """Add a flag for every key of section `name`, or for `keys`.

    A `prefix` distinguishes keys that two sections of one script have in common.
    """
    schema = section(name)
    group = parser.add_argument_group(prefix.rstrip("-") or name, schema["description"])
    for key in keys or schema["properties"]:
        _add(group, _flag(prefix, key), schema["properties"][key], required=key in schema.get("required", []))


def read_flags(args: argparse.Namespace, name: str, prefix: str = "") -> dict[str, Any]:
    """Return the settings of section `name`, with the schema's defaults, from arguments of `add_flags`."""
    values = {key: getattr(args, _flag(prefix, key)[2:].replace("-", "_")) for key in section(name)["properties"]}
    return {key: list(value) if isinstance(value, list) else value for key, value in values.items()}


def flags(name: str, settings: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the arguments from which `read_flags` reads `settings` of section `name`.

    Keys that `settings` leave out receive their defaults there. Raises KeyError for unknown and for missing keys.
    """
    schema = section(name)
    unknown = settings.keys() - schema["properties"].keys()
    missing = set(schema.get("required", [])) - settings.keys()
    if unknown or missing:
        raise KeyError(f"section {name}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    arguments = []
    for key, value in settings.items():
        flag = _flag(prefix, key)
        # Flag and value are one argument, because a text or a number may begin with a dash.
        arguments += [flag, *value] if isinstance(value, list) else [f"{flag}={_as_argument(value)}"]
    return arguments


def parse(parser: argparse.ArgumentParser, *outputs: str) -> argparse.Namespace:
    """Return the parsed arguments; `outputs` are the names of those that the script writes.

    Raises UserError when an output is another argument's file or folder, or lies inside it, or contains it: writing it
    would destroy what the script reads.
    """
    args = parser.parse_args()
    paths = [
        (name, path)
        for name, value in vars(args).items()
        for item in (value if isinstance(value, list) else [value])
        for path in (item[-1:] if isinstance(item, tuple) else [item])  # of KEY=FILE
        if isinstance(path, Path) and path != Path()  # the library refuses the working directory itself
    ]
    for name, path in ((name, path) for name, path in paths if name in outputs):
        written = path.resolve()
        for other, read in paths:
            place = read.resolve()
            if (other, read) == (name, path) or other in FOLDERS:
                continue
            if written == place or written.is_relative_to(place) or place.is_relative_to(written):
                flags = " and ".join(f"--{key.replace('_', '-')}" for key in dict.fromkeys((name, other)))
                where = "are the same" if written == place else f"lie one inside the other ({read})"
                raise UserError(f"{path}: {flags} {where}; give the output a place of its own")
    return args


def add_place_flags(parser: argparse.ArgumentParser, *, method: bool = True, required: bool = False) -> None:
    """Add `--task` and, with `method`, `--method`: where in a study the output belongs."""
    note = "" if required else " (default: as the inputs say)"
    parser.add_argument(
        "--task", required=required, help=f"the task's key: recorded in the output, and checked in the inputs{note}"
    )
    if method:
        parser.add_argument(
            "--method", required=required, help=f"the system's key: recorded, and checked in the inputs{note}"
        )


def placed(text: str) -> tuple[str | None, str | None, Path]:
    """Return `[TASK/SYSTEM=]FILE` as task, system and path, as a type of `argparse`."""
    match = re.fullmatch(r"(\w+)/(\w+)=(.+)", text, re.DOTALL)
    return (match[1], match[2], Path(match[3])) if match else (None, None, Path(text))


def add_override_flags(parser: argparse.ArgumentParser, name: str, keys: Sequence[str], otherwise: str) -> None:
    """Add flags for `keys` of section `name` that change settings from elsewhere; `otherwise` says what holds without.

    `read_overrides` returns those that are given.
    """
    schema = section(name)
    group = parser.add_argument_group(name, schema["description"])
    for key in keys:
        _add(group, _flag("", key), {**schema["properties"][key], "default": None}, otherwise=otherwise)


def read_overrides(args: argparse.Namespace, keys: Sequence[str]) -> dict[str, Any]:
    """Return the values of the flags of `add_override_flags` that were given."""
    return {key: getattr(args, key) for key in keys if getattr(args, key) is not None}


def add_run_flags(parser: argparse.ArgumentParser, seed: int | None = None) -> None:
    """Add `--seed`, `--device` and `--threads`, which every script with a model has; `seed` is the default, if any."""
    group = parser.add_argument_group("run")
    study = section(STUDY)["properties"]
    _add(
        group,
        "--seed",
        {**study["seeds"]["items"], "description": "Seed of every random choice.", "default": seed},
        required=seed is None,
    )
    _add(group, "--device", study["device"])
    _add(group, "--threads", {"description": "CPU threads.", "type": "integer", "minimum": 1, "default": 1})


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a training script: data, outputs, the run's, and sections `text`, `training`, `selection`."""
    parser.add_argument("--train", type=Path, required=True, help="training split, Parquet")
    parser.add_argument("--dev", type=Path, required=True, help="development split, Parquet")
    add_place_flags(parser)
    parser.add_argument("--model", type=Path, required=True, help="folder to write: the trained model")
    parser.add_argument("--history", type=Path, required=True, help="JSON lines to write: the training curve")
    add_run_flags(parser)
    add_flags(parser, "text")
    add_flags(parser, "training")
    add_flags(parser, "selection", prefix="selection-")
    parser.add_argument(
        "--metric-options", type=metric_options, default={}, metavar="JSON",
        help='options by metric, as {"bleu4": {"lowercase": true}} (default: {})',
    )  # fmt: skip
    add_resume_flag(parser, "--checkpoints", "checkpoints of the training")
    add_shard_flag(parser)


def add_resume_flag(parser: argparse.ArgumentParser, flag: str, content: str) -> None:
    """Add a flag for the folder from which an interrupted run resumes; `content` says what the folder contains."""
    parser.add_argument(
        flag, type=Path, metavar="FOLDER",
        help=f"folder for {content}, from which an interrupted run resumes; it is deleted at the end (default: "
        "nothing is stored)",
    )  # fmt: skip


def add_memory_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--gpu-memory`, for scripts that make batches as large as memory allows."""
    _add(parser, "--gpu-memory", section(STUDY)["properties"]["gpu_memory"])


def add_shard_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--shard-teacher`, for scripts that run a teacher on several GPUs."""
    parser.add_argument(
        "--shard-teacher", action="store_true",
        help="shard the teacher's weights over the ranks (FSDP); use it when they do not fit one GPU",
    )  # fmt: skip


def pair(text: str) -> tuple[str, str]:
    """Return `KEY=VALUE` as a tuple, as a type of `argparse`; the value may contain further equals signs."""
    key, _, value = text.partition("=")
    if not (key and value):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form KEY=VALUE")
    return key, value


def file_pair(text: str) -> tuple[str, Path]:
    """Return `KEY=FILE` as a tuple, as a type of `argparse`."""
    key, file = pair(text)
    return key, Path(file)


def name(text: str) -> tuple[str, str]:
    """Return `KEY=TITLE` as a tuple, or `KEY` with an empty title, as a type of `argparse`."""
    key, _, title = text.partition("=")
    if not key:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form KEY or KEY=TITLE")
    return key, title


def add_texts_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--texts`, for scripts that show names of tasks and systems to people."""
    parser.add_argument(
        "--texts", type=Path, metavar="FILE",
        help='JSON file with what is shown for a key that is given without a title: {"tasks": {TASK: {"title": TEXT, '
        '"description": TEXT, "stands_for": TEXT}}, "systems": {SYSTEM: TEXT}} (default: the keys are shown)',
    )  # fmt: skip


def json_mapping(text: str) -> dict[str, Any]:
    """Return the mapping that a text of JSON contains, as a type of `argparse`."""
    value = _json(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"must be a JSON mapping, {{...}}: {show(value)}")
    return value


def terms(text: str) -> list[dict[str, Any]]:
    """Return a method's terms from a text of JSON, checked as in config/methods.yaml, as a type of `argparse`."""
    from fdistill.config.method_checks import read_terms  # imported here: most scripts have no terms

    value, mistakes = read_terms(_json(text))
    _refuse(mistakes)
    return value


def layers(text: str) -> dict[str, Any]:
    """Return a task's section `model.student` from a text of JSON, as a type of `argparse`."""
    value = json_mapping(text)
    _refuse(problems(value, section("model.student")))
    return value


def _refuse(mistakes: Iterable[Problem]) -> None:
    if lines := [mistake.line("") for mistake in mistakes]:
        raise argparse.ArgumentTypeError("; ".join(lines))


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"not valid JSON ({error}): {show(text)[1:-1]}") from None


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")


def metric_options(text: str) -> dict[str, dict[str, Any]]:
    """Return options by metric from a text of JSON, as a type of `argparse`."""
    from fdistill.config.crosschecks import metric_option_problems  # imported here: most scripts have no metrics

    options = json_mapping(text)
    if not all(isinstance(value, dict) for value in options.values()):
        raise argparse.ArgumentTypeError(f'must map a metric to its options, {{"bleu4": {{...}}}}: {show(options)}')
    _refuse(metric_option_problems(options))
    return options


def _flag(prefix: str, key: str) -> str:
    return f"--{prefix}{key.replace('_', '-')}"


def _as_argument(value: Any) -> str:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)


def _add(group: Any, flag: str, schema: Schema, required: bool = False, otherwise: str = "") -> None:
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
        type=_reader(value),
        nargs="*" if is_list else None,
        required=required,
        default=schema.get("default"),
        metavar=_metavar(value),
        help=f"{schema['description']} ({'; '.join(notes)})".replace("%", "%%"),
    )


def _shown(default: Any) -> str:
    return " ".join(default) or "nothing" if isinstance(default, list) else _as_argument(default) or "nothing"


def _choices(schema: Schema) -> list[str]:
    if "boolean" in types(schema):
        return ["true", "false", *([NULL] if "null" in types(schema) else [])]
    return schema.get("enum", [])


def _metavar(schema: Schema) -> str:
    if choices := _choices(schema):
        return f"{{{','.join(choices)}}}"
    return {"integer": "INT", "number": "FLOAT", "string": "TEXT"}[types(schema)[0]]


def _reader(schema: Schema) -> Callable[[str], Any]:
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
