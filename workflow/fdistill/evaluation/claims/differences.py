"""Tests of claims that methods are better than others: comparisons of two of them on a task in a metric.

The p-values of a claim are corrected together (Holm 1979), without those of others, so that a further claim changes no
verdict. A test holds if it is significant in the claimed direction, fails if it is in the other, and is undecided if it
is not significant. A claim with bounds is decided by the interval of the advantage of `better` instead.
"""

from collections.abc import Iterable, Iterator

from fdistill.artifacts.systems import split_size
from fdistill.evaluation.aggregate import RISK_TITLES
from fdistill.evaluation.claims.study import Compared
from fdistill.evaluation.claims.verdicts import (
    FAILS,
    HOLDS,
    UNDECIDED,
    Claim,
    Test,
    has_bounds,
    new_test,
    untested,
    within,
)
from fdistill.evaluation.comparisons import differences
from fdistill.evaluation.resampling import CONFIDENCE, holm

OUTSIDE = (
    "none with a teacher from outside (docs/outside_teachers.md) or a student that copies no layers (docs/methods.md); "
    "use a teacher that is a model (model.teacher.init), and a student of its layers"
)


def with_verdicts(claim: Claim, tests: list[Test]) -> list[Test]:
    """Return the tests of a claim with `better`, all of them, with their verdicts."""
    tested = [test for test in tests if test["missing"] is None]
    if has_bounds(claim):
        for test in tested:
            sign = 1 if test["direction"] == "higher" else -1
            advantage = sorted(0.0 + sign * limit for limit in test["interval"])  # 0.0 + -0.0 = 0.0
            test |= {"value": 0.0 + sign * test["value"], "interval": advantage, "p": None}
            test["verdict"] = within(claim, advantage)
        return tests
    for test, corrected in zip(tested, holm([test["p"] for test in tested]), strict=True):
        as_claimed = (test["value"] > 0) == (test["direction"] == "higher")
        test["p_holm"] = corrected
        test["verdict"] = UNDECIDED if corrected > 1 - CONFIDENCE else HOLDS if as_claimed else FAILS
    return tests


def tests_within(claim: Claim, files: Iterable[Compared]) -> Iterator[Test]:
    """Yield the tests of a claim that methods are better than others, from files of comparisons, without verdicts."""
    for file in files:
        if claim["tasks"] and file["task"] not in claim["tasks"]:
            continue
        for metric in claim["metrics"] or (key for key in file["metrics"] if key not in RISK_TITLES):
            for better in claim["better"]:
                for than in claim["than"] or claim["than_one_of"]:
                    yield difference_test(file, metric, better, than)


def difference_test(file: Compared, metric: str, better: str, than: str) -> Test:
    """Return one test, the mean of `better` less that of `than`, whose verdict is still open unless it is n/a."""
    entry = file["metrics"].get(metric, {"title": metric, "direction": None, "pairs": []})
    test = new_test(file["task"], metric, entry["title"], direction=entry["direction"], better=better, than=than)
    for pair in entry["pairs"]:
        if {pair["a"], pair["b"]} == {better, than}:
            found = differences([pair])[better, than]
            return test | {"value": found.value, "interval": [found.low, found.high], "p": pair["p"]}
    return untested(test, *why_untested(file, metric, entry["title"], [better, than]))


def why_untested(file: Compared, metric: str, title: str, systems: list[str]) -> tuple[str, str]:
    """Return why systems are not compared in a metric: the reason and the remedy."""
    task = file["task"]
    if absent := [system for system in systems if system not in file["students"]]:
        impossible = file["unusable"] and any(
            size or method in file["unusable"] for method, size in map(split_size, absent)
        )
        fix = OUTSIDE if impossible else _how_to_add(task, absent, file["students"])
        return f"the study has no student {' and '.join(absent)} on {task}", fix
    if metric not in file["metrics"]:
        fix = f"add {metric} to the task's metrics, or limit the claim (its key tasks) to tasks that have it"
        return f"{task} is not scored by {metric}", fix
    without = [system for system in systems if system in file["metrics"][metric]["missing"]]
    table = "risk" if metric in RISK_TITLES else "main"
    return (
        f"{title} has no value for {' and '.join(without or systems)} on {task}",
        f"see the study's table tables/{table}.md, and the score.json or risk.json of each seed",
    )


def _how_to_add(task: str, absent: list[str], students: list[str]) -> str:
    """How a task gets the systems that it lacks: a study has each of its methods in each of the task's sizes."""
    known = {split_size(student) for student in students}
    methods = _lacking((split_size(system)[0] for system in absent), {method for method, _ in known})
    sizes = _lacking((split_size(system)[1] for system in absent), {None, *(size for _, size in known)})
    steps = [f"{methods} to the study's methods"] if methods else []
    if sizes:
        steps.append(f"the size {sizes} to model.student_sizes of task {task}")
    # Both are known where a file of comparisons has only some of the study's students.
    return f"add {', and '.join(steps)}" if steps else f"compare {' and '.join(absent)} too (compare.py --students)"


def _lacking(names: Iterable[str | None], known: set[str | None]) -> str:
    return " and ".join(dict.fromkeys(name for name in names if name not in known))
