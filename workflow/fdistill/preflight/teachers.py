"""The check of teachers: whether checkpoints and files of outputs are available and fit the task's settings."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_parquet
from fdistill.artifacts.systems import of_size
from fdistill.config.model_checks import outputs_of
from fdistill.config.other_teacher_checks import OTHER_TEACHER
from fdistill.config.outside_checks import FILES
from fdistill.data.encoding import rows_of
from fdistill.data.labels import checked_label_file
from fdistill.data.outputs import Inputs, no_log_probs, outputs_file, read_outputs
from fdistill.data.schemas import SPLIT
from fdistill.data.sources import UNLABELLED
from fdistill.losses.sequences import OTHER_TEACHER_BEAM
from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding per task with a teacher, and one for another teacher whose labels a method learns from."""
    for task, result in plan.architectures.items():
        if isinstance(result, UserError):
            yield Finding(f"{task}: teacher", str(result), problem=True)
            continue
        own = [] if result.teacher is None else [_millions(result.teacher.parameters)]
        own += [f"{of_size('student', size)} {_millions(its.parameters)}" for size, its in result.students.items()]
        origin = plan.on_the_hub(result.to_fetch) if result.to_fetch else result.origin
        others = "".join(f", with {plan.on_the_hub(other)}" for other in result.others_to_fetch)
        yield Finding(f"{task}: teacher", f"{', '.join(own)}; {origin}{others}")
    for task, settings in plan.tasks():
        yield from _outside(plan, task, outputs_of(settings), settings["training"]["distill"])
        if OTHER_TEACHER_BEAM in plan.study.sequences(task):
            yield _other(plan, task, settings[OTHER_TEACHER]["labels"])


def _outside(plan: Plan, task: str, outputs: dict[str, Any] | None, distill: dict[str, Any]) -> Iterator[Finding]:
    """Read the files of a teacher from outside to the last row, as rule import_outputs does but for the tokens.

    `distill` are the task's settings of the stage that learns from them. Which inputs the rows are of can be told once
    rule prepare has made the splits.
    """
    limits = {"train": distill["max_examples"], UNLABELLED: distill["max_unlabelled"]}
    for split in FILES if outputs is not None else ():
        if outputs[split] is None:
            continue
        where, prepared = f"{task}: outputs for {split}", plan.results / task / "prepare" / f"{split}.parquet"
        try:
            yield Finding(where, _read(outputs, split, prepared, limits.get(split)))
        except UserError as error:
            yield Finding(where, str(error), problem=True)


def _read(outputs: dict[str, Any], split: str, prepared: Path, max_examples: int | None) -> str:
    """What was found in the file of a split, in words; raises UserError for what would stop import_outputs."""
    columns = read_parquet(prepared, SPLIT)[0] if prepared.is_file() else None
    inputs = columns and Inputs(columns, rows_of(len(columns["id"]), max_examples), prepared)
    found: Counter[str] = Counter()
    texts = with_log_probs = 0
    reads_log_probs = outputs["log_probs"] and split != "test"
    for output in read_outputs(outputs[split], reads_log_probs):
        texts += len(output.texts)
        with_log_probs += output.known is not None
        found.update(inputs.of(output) if inputs else ())
    if inputs:
        inputs.check_complete(outputs_file(outputs[split]), found)
    if reads_log_probs and not with_log_probs:
        raise no_log_probs(outputs_file(outputs[split]))
    of_log_probs = f", {with_log_probs:,} with log-probabilities" if reads_log_probs else ""
    return f"{texts:,} outputs{of_log_probs}; {outputs[split]}"


def _other(plan: Plan, task: str, labels: str | None) -> Finding:
    where, found = f"{task}: other teacher", plan.other_teachers.get(task)
    try:
        if found is None:
            return Finding(where, f"{checked_label_file(labels)}: labels that exist already")
    except UserError as error:
        found = error
    if isinstance(found, UserError):
        return Finding(where, str(found), problem=True)
    origin = plan.on_the_hub(found.to_fetch) if found.to_fetch else found.origin
    return Finding(where, f"{_millions(found.size.parameters)}; {origin}")


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M parameters"
