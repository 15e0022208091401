"""Checks of a task's unlabelled inputs. See `fdistill.config.crosschecks`, which runs them."""

from collections.abc import Iterator

from fdistill.config.model_checks import Task
from fdistill.config.unlabelled import has_unlabelled, unlabelled_file
from fdistill.data.sources import UNLABELLED
from fdistill.data.unlabelled import SHARE
from fdistill.runtime.validation import Problem

LIMIT = "max_unlabelled"


def check_inputs(task: Task) -> Iterator[Problem]:
    """Check that unlabelled inputs come from one place, and that their number is limited only if there are any."""
    if unlabelled_file(task) and task["source"].get(SHARE) is not None:
        text = f"source.path.{UNLABELLED} names a file of unlabelled inputs already; remove one of the two"
        yield Problem(("source", SHARE), text)
    for stage, settings in task["training"].items():
        if settings[LIMIT] is None:
            continue
        if stage == "teacher":
            yield Problem(("training", stage, LIMIT), "not used: a teacher learns from labels alone; remove it")
        elif not has_unlabelled(task):
            text = f"not used: the task has no unlabelled inputs (source.{SHARE} or source.path.{UNLABELLED})"
            yield Problem(("training", stage, LIMIT), f"{text}; remove it")
