"""The check of teachers: whether each task's checkpoint is available and fits the task's settings."""

from collections.abc import Iterator

from fdistill.artifacts.systems import of_size
from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding per task with a teacher."""
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


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M parameters"
