"""Checks of a task's unlabelled inputs, and which methods learn from them.

See `fdistill.config.crosschecks`, which runs the checks.
"""

from collections.abc import Iterator

from fdistill.config.method_checks import DISTILL, OTHER_TEACHER_BEAM, Method, Methods, stored_kinds
from fdistill.config.model_checks import NLL, Task
from fdistill.data.sources import UNLABELLED
from fdistill.data.unlabelled import SHARE
from fdistill.runtime.validation import Problem, show

ONLY_LABELLED = ("ground_truth", OTHER_TEACHER_BEAM)  # kinds of sequence that unlabelled inputs do not have
LIMIT = "max_unlabelled"


def has_unlabelled(task: Task) -> bool:
    """Return whether the task has unlabelled inputs."""
    return bool(_file(task)) or task["source"].get(SHARE) is not None


def stated_counts(task: Task) -> dict[str, int] | None:
    """Return the number of examples by split that the task's source states; None if it does not state all of them."""
    return None if has_unlabelled(task) else task["source"].get("expected_counts")


def learns_from_unlabelled(method: Method) -> bool:
    """Return whether a method learns from the unlabelled inputs of a task that has some."""
    return method["unlabelled"] and not needs_labels(method)


def needs_labels(method: Method) -> list[str]:
    """Return the kinds of sequence among the method's that only labelled inputs have."""
    kinds = [term["sequences"] for term in method["terms"]]
    return [kind for kind in ONLY_LABELLED if kind in kinds]


def check_inputs(task: Task) -> Iterator[Problem]:
    """Check that unlabelled inputs come from one place, and that their number is limited only if there are any."""
    if _file(task) and task["source"].get(SHARE) is not None:
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


def check_stored(task: Task, methods: Methods) -> Iterator[Problem]:
    """Check that a method trains on the unlabelled inputs for which the teacher's sequences are sampled."""
    if not has_unlabelled(task):
        return
    sampled = task["training"][DISTILL][LIMIT]
    for name, method in methods.items():
        if "terms" not in method or method.get("training") not in task["training"]:
            continue  # a stage that the task does not have is refused where the method is selected
        if not learns_from_unlabelled(method):
            continue
        stage, kinds = method["training"], stored_kinds(method)
        trained = task["training"][stage][LIMIT]
        if kinds and trained != sampled:
            yield Problem(
                ("training", stage, LIMIT),
                f"{show(trained)}, but method '{name}' trains with it on {kinds[0]}, which are sampled for "
                f"training.{DISTILL}.{LIMIT}, {show(sampled)} unlabelled inputs; make the two equal, or set the "
                f"method's training to {DISTILL}",
            )


def check_cache(task: Task, methods: Methods) -> Iterator[Problem]:
    """Check that no method reads the teacher cache for original pairs, whose distributions it does not have."""
    for name, method in methods.items() if task["teacher_cache"] != "none" else ():
        read = any(term["sequences"] == "teacher_samples" and term["loss"] != NLL for term in method.get("terms", []))
        if read and method.get("include_original"):
            yield Problem(
                ("teacher_cache",),
                f"{task['teacher_cache']} has no distributions on the original pairs of method '{name}' "
                f"(include_original); set none, or remove '{name}' from methods",
            )


def _file(task: Task) -> str | None:
    path = task["source"].get("path")
    return path.get(UNLABELLED) if isinstance(path, dict) else None
