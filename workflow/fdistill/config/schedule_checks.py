"""Checks of a method's schedule, which chooses between terms on the student's own sequences and the other terms."""

from collections.abc import Iterator
from typing import Any

from fdistill.config.model_checks import Task
from fdistill.losses.schedule import ADAPTIVE, ALTERNATING, CONSTANT, EXPONENTIAL, LINEAR, RANDOM
from fdistill.losses.sequences import FROM_STUDENT
from fdistill.runtime.validation import Problem


def check_schedule(method: dict[str, Any]) -> Iterator[Problem]:
    """Yield the mistakes in a method's schedule; it has nothing to choose from without terms of both groups."""
    schedule, kinds = method.get("schedule"), {term["sequences"] for term in method.get("terms", [])}
    if not schedule or not kinds:
        return
    if len({kind in FROM_STUDENT for kind in kinds}) == 1:
        yield Problem(
            ("schedule",),
            f"chooses between terms on {' or '.join(FROM_STUDENT)} and terms on other sequences, and the method has "
            "only one of the two; add a term, or remove the schedule",
        )
    yield from (problem.under("schedule") for problem in schedule_problems(schedule))


def check_growth(task: Task, methods: dict[str, dict[str, Any]]) -> Iterator[Problem]:
    """Check that an adaptive share can grow: it does at evaluations between the start and the end of the run.

    How many steps an epoch has is known only in training, which says it where `max_steps` leaves no such evaluation.
    """
    for name, method in methods.items():
        stage = task["training"].get(method.get("training"))
        if stage is None or (method.get("schedule") or {}).get("course") != ADAPTIVE:
            continue
        if 0 < stage["epochs"] <= stage["evaluate_every"]:
            yield Problem(
                ("training", method["training"], "evaluate_every"),
                f"{stage['evaluate_every']:g} epochs leave no evaluation before the end of training, after "
                f"{stage['epochs']:g}, so that the share of method '{name}' (course {ADAPTIVE}) never grows; set a "
                "smaller number, such as a tenth of the epochs",
            )


def schedule_problems(schedule: dict[str, Any]) -> Iterator[Problem]:
    """Yield the keys of a schedule, with its defaults, that contradict each other."""
    course, share = schedule.get("course"), schedule.get("student_share")
    last = {LINEAR: schedule.get("end_share"), EXPONENTIAL: schedule.get("end_share"), ADAPTIVE: 1}.get(course, share)
    if share == last and share in (0, 1):
        throughout = "" if course == CONSTANT else " from the start to the end of the run"
        text = f"{share:g}{throughout} leaves the terms of one of the two groups unused; set a number between 0 and 1"
        yield Problem(("student_share",), f"{text}, or remove the schedule and these terms")
    if schedule.get("draw") == ALTERNATING and course != CONSTANT:
        text = f"'{course}' changes the share, which draw '{ALTERNATING}' keeps; set draw: {RANDOM}, or "
        yield Problem(("course",), f"{text}course: {CONSTANT}")
    for key in ("student_share", "end_share") if course == EXPONENTIAL and share != last else ():
        if schedule.get(key) == 1:
            text = "1 leaves a share of 0 to the other steps, which no constant factor leads to; set a number below 1"
            yield Problem((key,), text)
