"""Teachers: whether each task's checkpoint can be had, and fits what the task asks of it."""

from collections.abc import Iterator

from fdistill.errors import UserError
from fdistill.preflight.plan import Finding, Plan


def check(plan: Plan) -> Iterator[Finding]:
    """One finding per task with a teacher."""
    for task, found in plan.architectures.items():
        if isinstance(found, UserError):
            yield Finding(f"{task}: teacher", str(found), problem=True)
            continue
        text = f"{found.origin}; {_millions(found.teacher.parameters)}, student {_millions(found.student.parameters)}"
        if plan.jobs and found.to_download:  # the jobs that load it may run where there is no network
            init = plan.study.task(task)["model"]["teacher"]["init"]
            text += f"; if compute nodes have no network, fetch it here first: hf download {init}"
        yield Finding(f"{task}: teacher", text)


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M parameters"
