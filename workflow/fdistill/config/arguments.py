"""Types of arguments for `argparse`: what a text on a command line means, or `ArgumentTypeError` with the reason."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fdistill.artifacts.shapes import parse
from fdistill.config import logging_checks
from fdistill.config.schema import STUDY, fill_defaults, section
from fdistill.config.schema_flags import reader
from fdistill.models.student_layers import read_notation
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import Problem, condition_problems, problems, show

# A number of things, and the seed of a run.
count = reader({"type": "integer", "minimum": 1, "maximum": 1_000_000_000})
seed = reader(section(STUDY)["properties"]["seeds"]["items"])


def pair(text: str) -> tuple[str, str]:
    """Return `KEY=VALUE` as a tuple; the value may contain further equals signs."""
    key, _, value = text.partition("=")
    if not (key and value):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form KEY=VALUE")
    return key, value


def file_pair(text: str) -> tuple[str, Path]:
    """Return `KEY=FILE` as a tuple, as a type of `argparse`."""
    key, file = pair(text)
    return key, Path(file)


def name(text: str) -> tuple[str, str]:
    """Return `KEY=TITLE` as a tuple, or `KEY` with an empty title."""
    key, _, title = text.partition("=")
    if not key:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form KEY or KEY=TITLE")
    return key, title


def json_mapping(text: str) -> dict[str, Any]:
    """Return the mapping that a text of JSON contains."""
    value = _json(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"must be a JSON mapping, {{...}}: {show(value)}")
    return value


def metric_options(text: str) -> dict[str, dict[str, Any]]:
    """Return options by metric from a text of JSON."""
    from fdistill.config.metric_checks import option_problems  # imported here: most scripts have no metrics

    options = json_mapping(text)
    if not all(isinstance(value, dict) for value in options.values()):
        raise argparse.ArgumentTypeError(f'must map a metric to its options, {{"bleu4": {{...}}}}: {show(options)}')
    _refuse(option_problems(options))
    return options


def terms(text: str) -> list[dict[str, Any]]:
    """Return a method's terms from a text of JSON, checked as in config/methods.yaml."""
    from fdistill.config.method_table import read_terms  # imported here: most scripts have no terms

    value, mistakes = read_terms(_json(text))
    _refuse(mistakes)
    return value


def lora(text: str) -> dict[str, Any]:
    """Return a section `training.teacher.lora` from a text of JSON, with its defaults."""
    return fill_defaults(_checked(text, "lora"), section("lora"))


def schedule(text: str) -> dict[str, Any]:
    """Return a method's schedule from a text of JSON, with its defaults."""
    from fdistill.config.schedule_checks import schedule_problems

    value = fill_defaults(_checked(text, "schedule"), section("schedule"))
    _refuse([*condition_problems(value, section("schedule")), *schedule_problems(value)])
    return value


def sinks(text: str) -> dict[str, Any]:
    """Return the sinks that a study's section `logging` in JSON turns on: their options by key.

    A sink whose package is not installed is refused here, before a script loads anything.
    """
    value = fill_defaults(_checked(text, "logging"), section("logging"))
    _refuse([*logging_checks.logging_problems(value), *logging_checks.package_problems(value)])
    return logging_checks.sinks(value)


def terms_by_method(text: str) -> dict[str, list[dict[str, Any]]]:
    """Return terms by method from a text of JSON, checked as `terms` checks those of one."""
    from fdistill.config.method_table import read_terms

    read = {method: read_terms(value) for method, value in json_mapping(text).items()}
    _refuse(mistake.under(method) for method, (_, mistakes) in read.items() for mistake in mistakes)
    return {method: value for method, (value, _) in read.items()}


def methods(text: str) -> dict[str, Any]:
    """Return methods by name from a text of JSON, checked as config/methods.yaml.

    Titles may be left out; a method without one is called by its name.
    """
    from fdistill.config.method_table import read_methods

    value, mistakes = read_methods(_with_texts(json_mapping(text), ("title",)))
    _refuse(mistakes)
    return value


def tasks(text: str) -> dict[str, Any]:
    """Return tasks by name from a text of JSON, checked as config/tasks/*.yaml.

    Titles and descriptions may be left out; a task without one is called by its name.
    """
    value = _with_texts(json_mapping(text), ("title", "description"))
    _refuse(mistake.under(name) for name, task in value.items() for mistake in problems(task, section("task")))
    return {name: fill_defaults(task, section("task")) for name, task in value.items()}


def model(text: str) -> dict[str, Any]:
    """Return a task's section `model` from a text of JSON."""
    from fdistill.config.model_checks import check_family
    from fdistill.config.student_checks import check_notation, check_stacks

    task = {"model": fill_defaults(_checked(text, "model"), section("model"))}
    for check in (check_family, check_notation, check_stacks):
        _refuse(check(task))
    return task["model"] | {"student": read_notation(task["model"]["student"])}


def layers(text: str) -> dict[str, Any]:
    """Return a task's section `model.student` from JSON or a size such as 12-3, with or without its quotes."""
    value = text if text[:1].isdigit() and "-" in text else _json(text)
    schema = {"type": "object", "properties": {"student": section("model.student")}}
    _refuse(problems({"student": value}, schema))
    return _stacks(value)


def sizes(text: str) -> dict[str, Any]:
    """Return a task's section `model.student_sizes` from a text of JSON, with the layers per stack of each size."""
    return {name: _stacks(student) for name, student in _checked(text, "model.student_sizes").items()}


def aspects(text: str) -> list[dict[str, Any]]:
    """Return the aspects of a human evaluation from a text of JSON, checked as a task's key `human.aspects`."""
    from fdistill.config.human_checks import title_problems

    value = _json(text)
    mistakes = problems({"aspects": value}, {"type": "object", "properties": {"aspects": section("human.aspects")}})
    _refuse(mistakes or title_problems(value))
    return value


def _stacks(student: str | dict[str, Any]) -> dict[str, Any]:
    """Return the layers per stack of a student, as `read_notation` does."""
    try:
        return read_notation(student)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _with_texts(entries: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {
        name: dict.fromkeys(keys, name) | entry if isinstance(entry, dict) else entry for name, entry in entries.items()
    }


def _checked(text: str, name: str) -> dict[str, Any]:
    value = json_mapping(text)
    _refuse(problems(value, section(name)))
    return value


def _refuse(mistakes: Iterable[Problem]) -> None:
    if lines := [mistake.line("") for mistake in mistakes]:
        raise argparse.ArgumentTypeError("; ".join(lines))


def _json(text: str) -> Any:
    try:
        return parse(text, object)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not valid JSON ({error}): {show(text)[1:-1]}") from None
