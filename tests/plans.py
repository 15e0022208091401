"""Plans of small studies, for the tests of preflight."""

from fdistill.preflight import Plan
from small_config import TASK, WEB, put


def plan(project, *changes, jobs=None, **study):
    """Return a plan of the small study; `changes` are (key, value) pairs for its task, `study` for the study itself."""
    task = WEB
    for key, value in changes:
        task = put(task, key, value)
    project.write(TASK, task)
    return Plan(project.load(**study), project.root / "results", jobs or {})


def problems(findings):
    """Return the texts of the findings that are problems."""
    return [f"{finding.where}: {finding.text}" for finding in findings if finding.problem]


def from_checkpoint(folder, *changes):
    """Return changes that start the task's teacher from a checkpoint, followed by `changes`."""
    return (("model.teacher", {"init": str(folder)}), ("model.student", {"encoder": 1, "decoder": 1}), *changes)
