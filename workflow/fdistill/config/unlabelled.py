"""Unlabelled inputs in a configuration: which tasks have some, and which methods learn from them."""

from typing import Any

from fdistill.data.sources import UNLABELLED
from fdistill.data.unlabelled import SHARE
from fdistill.losses.sequences import ONLY_LABELLED


def has_unlabelled(task: dict[str, Any]) -> bool:
    """Return whether the task has unlabelled inputs."""
    return bool(unlabelled_file(task)) or task["source"].get(SHARE) is not None


def unlabelled_file(task: dict[str, Any]) -> str | None:
    """Return the name of the task's file of unlabelled inputs; None if it has none."""
    path = task["source"].get("path")
    return path.get(UNLABELLED) if isinstance(path, dict) else None


def stated_counts(task: dict[str, Any]) -> dict[str, int] | None:
    """Return the number of examples by split that the task's source states; None if it does not state all of them."""
    return None if has_unlabelled(task) else task["source"].get("expected_counts")


def learns_from_unlabelled(method: dict[str, Any]) -> bool:
    """Return whether a method learns from the unlabelled inputs of a task that has some."""
    return method["unlabelled"] and not needs_labels(method)


def needs_labels(method: dict[str, Any]) -> list[str]:
    """Return the kinds of sequence among the method's that only labelled inputs have."""
    kinds = [term["sequences"] for term in method["terms"]]
    return [kind for kind in ONLY_LABELLED if kind in kinds]
