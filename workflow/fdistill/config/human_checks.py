"""Checks of what a human evaluation asks. See `fdistill.config.crosschecks`, which runs them."""

from collections.abc import Iterator
from typing import Any

from fdistill.config.model_checks import Task
from fdistill.runtime.validation import Problem, nearest


def check_systems(given: Task, known: list[str]) -> Iterator[Problem]:
    """Check the systems that a task names; `given` is without defaults, whose systems a study need not have."""
    human = given.get("human")
    systems = human.get("systems") if isinstance(human, dict) else None
    for index, name in enumerate(systems if isinstance(systems, list) else ()):
        if known and name not in known:
            yield Problem(("human", "systems", index), f"unknown system '{name}'; {nearest(name, known)}")


def check_aspects(task: Task) -> Iterator[Problem]:
    """Check that no two aspects have one title."""
    yield from (problem.under("human", "aspects") for problem in title_problems(task["human"]["aspects"]))


def title_problems(aspects: list[dict[str, Any]]) -> Iterator[Problem]:
    """Yield a problem for each aspect that has the title of an earlier one."""
    titles = [aspect["title"] for aspect in aspects]
    for index, title in enumerate(titles):
        if title in titles[:index]:
            yield Problem((index, "title"), f"'{title}' is the title of another aspect too; change one of them")
