"""The check of teachers: whether each task's checkpoints are available and fit the task's settings."""

from collections.abc import Iterator

from fdistill.artifacts.systems import of_size
from fdistill.config.other_teacher_checks import OTHER_TEACHER
from fdistill.data.labels import checked_label_file
from fdistill.losses.objectives import OTHER_TEACHER_BEAM
from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding per task with a teacher, and one for another teacher whose labels a method learns from."""
    for task, result in plan.architectures.items():
        if isinstance(result, UserError):
            yield Finding(f"{task}: teacher", str(result), problem=True)
            continue
        sizes = ", ".join(
            [_millions(result.teacher.parameters)]
            + [f"{of_size('student', size)} {_millions(its.parameters)}" for size, its in result.students.items()]
        )
        origin = plan.on_the_hub(result.to_fetch) if result.to_fetch else result.origin
        yield Finding(f"{task}: teacher", f"{sizes}; {origin}")
    for task, settings in plan.tasks():
        if OTHER_TEACHER_BEAM in plan.study.sequences(task):
            yield _other(plan, task, settings[OTHER_TEACHER]["labels"])


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
