"""The check of teachers: whether each task's checkpoint is available and fits the task's settings."""

from collections.abc import Iterator

from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding per task with a teacher."""
    for task, result in plan.architectures.items():
        if isinstance(result, UserError):
            yield Finding(f"{task}: teacher", str(result), problem=True)
            continue
        sizes = f"{_millions(result.teacher.parameters)}, student {_millions(result.student.parameters)}"
        origin = plan.on_the_hub(result.to_fetch) if result.to_fetch else result.origin
        yield Finding(f"{task}: teacher", f"{sizes}; {origin}")


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M parameters"
