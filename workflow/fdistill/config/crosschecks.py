"""Checks that a schema cannot express: names that must exist elsewhere, and keys that must agree with each other.

A check receives a task with its defaults and yields the task's problems. After a mistake of form a key may be missing;
the check that needs it then ends early with a KeyError, which `task_problems` handles.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fdistill.config import (
    engine_checks,
    human_checks,
    method_checks,
    metric_checks,
    model_checks,
    other_teacher_checks,
    outside_checks,
    schedule_checks,
    student_checks,
    text_checks,
    unlabelled_checks,
    usable_methods,
    whole_student_checks,
)
from fdistill.config.method_starts import with_starts
from fdistill.config.method_table import Methods, methods_for
from fdistill.config.model_checks import Task
from fdistill.config.schema import section
from fdistill.data.sources import SOURCES, source_module
from fdistill.data.sources.options import options_schema, read_options
from fdistill.data.unlabelled import SHARE
from fdistill.models.student_layers import PRETRAINED, TEACHER
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import Problem, leaves, nearest, problems, show
from fdistill.runtime.value_schemas import text_mistake
from fdistill.sampling.modes import sampling_mistakes

OTHER_SYSTEMS = ("teacher", "most_frequent", "copy")  # those that are no methods

# Names that a method may not have, because results/{task}/ has such a folder, and that a task may not have, because
# results/ has such a folder or because they mean another model in `model.student`.
NOT_METHODS = (
    *OTHER_SYSTEMS,
    "prepare",
    "init_student",
    "sample_teacher",
    "cache_teacher",
    "label",
    "encode_labels",
    "label_quality",
    "import_outputs",
    "human",
    "tables",
    "figures",
)
NOT_TASKS = ("tables", "figures", "human", "bench", "logs", "benchmarks", "checkpoints", "curves", TEACHER, PRETRAINED)

# The project's own folders, and those that the results of the default study have beside them.
NOT_RESULTS = (
    *("benchmarks", "checkpoints", "config", "curves", "docs", "envs", "logs", "profiles", "rules", "tests"),
    "workflow",
)

IN_FILES = ("title", "description", "stands_for")  # texts that reach tables and figures in a file
MAX_ARGUMENT = 30_000  # bytes: three of them and a source_prefix fit into the 128 KiB of a command
MAX_NUMBER = 10**12


def task_problems(
    task: Task, given: Task, methods: Methods, selected: list[str], is_complete: bool = True
) -> list[Problem]:
    """Return the problems that all checks find in a task and its methods.

    `given` is the task without its defaults, `methods` the table of methods, `selected` the names of those that the
    study uses: those that they start from are checked too. `is_complete` says that the task has no mistakes of form.
    """
    methods, mistakes = methods_for(task, methods)
    own = {name: methods[name] for name in selected if name in methods}
    used = {name: methods[name] for name in with_starts(selected, methods)}
    missing_key = None
    method_task_checks = (
        partial(method_checks.check_stored, methods=methods),
        partial(method_checks.check_lengths, methods=used),
        partial(method_checks.check_per_input, methods=used),
        partial(method_checks.check_replay, methods=used),
        partial(schedule_checks.check_growth, methods=used),
        partial(method_checks.check_vocabulary, methods=used),
        partial(method_checks.check_cache, methods=used),
        partial(method_checks.check_attention, methods=used),
        partial(usable_methods.check_methods, methods=methods, selected=list(own)),
        partial(outside_checks.check_unused, given=given),
        partial(whole_student_checks.check_tokenizer, given=given),
    )
    for check in (*CHECKS, *method_task_checks):
        try:
            for problem in check(task):
                mistakes.append(problem)
        except KeyError as error:
            missing_key = error
    mistakes += [*model_checks.check_checkpoint_only(given), *method_checks.check_no_teacher(task, own)]
    mistakes += human_checks.check_systems(given, [*methods, *OTHER_SYSTEMS] if methods else [])
    if missing_key is not None and is_complete and not mistakes:  # a bug of the check, not a mistake of the user
        raise missing_key
    return mistakes


def name_problems(name: str, reserved: tuple[str, ...]) -> Iterator[str]:
    """Yield the reasons why `name` cannot be the name of a task or method; `reserved` names are taken."""
    if not re.fullmatch("[a-z0-9_]+", name):
        yield f"'{name}' becomes a folder's name; use lower-case letters, digits and _ only"
    if name in reserved:
        yield f"'{name}' already means something else there; choose another name (taken: {', '.join(reserved)})"


def folder_problems(folder: str) -> Iterator[str]:
    """Yield the reasons why the study's results cannot lie in `folder`; other folders of the project are taken."""
    if not re.fullmatch(r"/?[\w-][\w.-]*(/[\w-][\w.-]*)*", folder):
        yield f"'{folder}' is no folder's path of letters, digits, _, - and . (not first); write one as studies/small"
    elif folder.partition("/")[0] in NOT_RESULTS:
        yield f"'{folder}' belongs to the project; write another folder, such as studies/small"


def own_output_problems(source: object, folder: Path) -> Iterator[Problem]:
    """Yield a problem per file of `source.path` that lies in `folder`, the task's own results."""
    path = source.get("path") if isinstance(source, dict) else None
    for split, file in path.items() if isinstance(path, dict) else ():
        if isinstance(file, str) and Path(file).resolve().is_relative_to(folder.resolve()):
            text = f"'{file}' is an output of this task, which is made from it; give a file outside {folder}"
            yield Problem(("source", "path", split), text)


def _source(task: Task) -> Iterator[Problem]:
    source = {key: value for key, value in task["source"].items() if key != SHARE}  # of any source, as the schema says
    kind = source["kind"]
    if kind not in SOURCES:
        yield Problem(("source", "kind"), f"unknown source '{kind}'; {nearest(kind, SOURCES)}")
        return
    options = source_module(kind).Options
    mistakes = [problem.under("source") for problem in problems(source, options_schema(kind, options))]
    yield from mistakes
    if not mistakes:
        try:
            read_options(options, source)
        except UserError as error:  # the source's own checks, with messages such as "source.kinds: ..."
            key, _, text = str(error).partition(": ")
            yield Problem(tuple(key.split(".")), text)


def _texts(task: Task) -> Iterator[Problem]:
    """Check what the schema leaves open: options of sources and metrics, and the configuration of a model from scratch.

    They become one argument of a command each, so that their size has a bound. Snakemake's report writes commands into
    its page as they are, where some texts would end the page's script.
    """
    teacher, student = task["model"]["teacher"] or {}, task["model"]["student"]
    for path, mapping in (
        (("source",), task["source"]),
        (("metric_options",), task["metric_options"]),
        (("model", "teacher", "config"), teacher.get("config", {})),
        (("model", "student", "config"), student.get("config", {}) if isinstance(student, dict) else {}),
    ):
        mistakes = [Problem((*path, *keys), text) for keys, value in leaves(mapping) if (text := _no_option(value))]
        yield from mistakes
        if not mistakes and (size := len(shlex.quote(json.dumps(mapping)))) > MAX_ARGUMENT:
            yield Problem(path, f"{size:,} bytes as an argument of a command, more than {MAX_ARGUMENT:,}; shorten it")
    for path, value in leaves({key: value for key, value in task.items() if key not in IN_FILES}):
        if isinstance(value, str) and (found := re.search("</script|<!--", value, re.IGNORECASE)):
            yield Problem(path, f"contains '{found[0]}', which breaks the page of `snakemake --report`; remove it")


def _no_option(value: Any) -> str | None:
    """Return why `value` cannot be an option; None if it can."""
    if isinstance(value, str):
        reason = text_mistake(value, section("text")["properties"]["source_prefix"])
        return reason and f"{show(value)} {reason}"
    if isinstance(value, int | float) and not -MAX_NUMBER <= value <= MAX_NUMBER:  # NaN too
        return f"{show(value)} is not allowed; must be a number from -1e12 to 1e12"
    if not isinstance(value, int | float | None):
        return f"{show(value)} is not allowed; must be text, a number, true, false or null"
    return None


def _decoding(task: Task) -> Iterator[Problem]:
    decoding = task["decoding"]
    for key, text in sampling_mistakes(decoding):
        yield Problem(("decoding", key), text)
    for key, unused in (("top_k", 0), ("top_p", 1)):
        if decoding[key] != unused and not decoding["do_sample"]:
            yield Problem(("decoding", key), f"{decoding[key]} is not used without do_sample: true; remove it")


CHECKS: tuple[Callable[[Task], Iterator[Problem]], ...] = (
    _texts,
    _source,
    model_checks.check_family,
    model_checks.check_locations,
    student_checks.check_notation,
    student_checks.check_stacks,
    student_checks.check_starts,
    student_checks.check_student_sizes,
    model_checks.check_sizes,
    student_checks.check_depth,
    model_checks.check_positions,
    model_checks.check_freeze,
    model_checks.check_training,
    text_checks.check_chat,
    model_checks.check_lora,
    outside_checks.check_outputs,
    whole_student_checks.check_student,
    whole_student_checks.check_family,
    _decoding,
    human_checks.check_aspects,
    other_teacher_checks.check_other_teacher,
    engine_checks.check_searches,
    unlabelled_checks.check_inputs,
    engine_checks.check_engines,
    metric_checks.check_metrics,
    metric_checks.check_options,
    metric_checks.check_required_options,
    metric_checks.check_selection,
)
