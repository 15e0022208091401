"""Teachers: whether each task's checkpoint can be had, and fits what the task asks of it."""

from collections.abc import Iterator

from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError


def check(plan: Plan) -> Iterator[Finding]:
    """One finding per task with a teacher."""
    for task, found in plan.architectures.items():
        if isinstance(found, UserError):
            yield Finding(f"{task}: teacher", str(found), problem=True)
            continue
        sizes = f"{_millions(found.teacher.parameters)}, student {_millions(found.student.parameters)}"
        origin = plan.on_the_hub(found.to_fetch) if found.to_fetch else found.origin
        yield Finding(f"{task}: teacher", f"{sizes}; {origin}")


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M parameters"
