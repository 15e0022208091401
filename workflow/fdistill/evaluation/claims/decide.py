"""Decides claims by the verdicts of their tests."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from fdistill.evaluation.claims.across import tests_across
from fdistill.evaluation.claims.differences import tests_within, with_verdicts
from fdistill.evaluation.claims.measurements import ratio_tests, trend_tests
from fdistill.evaluation.claims.study import Compared, Decisive, read_study
from fdistill.evaluation.claims.verdicts import (
    ADVANTAGE,
    CORRELATION,
    COUNTED,
    DIFFERENCE,
    FAILS,
    MISSING,
    RATIO,
    Claim,
    Test,
    every,
    has_bounds,
    some,
)
from fdistill.evaluation.resampling import limits
from fdistill.evaluation.texts import Texts

NAMED = 3  # tests against a claim that its reason names
DIGITS = 2


def decide_claims(
    claims: Mapping[str, Claim],
    comparisons: Iterable[Path],
    texts: Texts,
    measured: Mapping[str, Mapping[str, Path]] | None = None,
    metrics: Mapping[tuple[str, str], Path] | None = None,
    unusable: Collection[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Decide claims, as `fdistill.config.claim_checks` reads them, by files of comparisons, one for each task.

    `measured` has further files by kind (`claims.study`) and task, `metrics` the `metrics.json` of students by task and
    system, for claims that compare tasks, `texts` the titles that "why" uses, and `unusable` the (task, method) pairs
    that a teacher from outside does not allow.

    Returns {"claims": [{"name", "text", "source", "verdict", "why", "tasks": {task: verdict}, "tests", "missing",
    "quantity", "at_least", "at_most"}], "seeds"}. A test is {"task" (None if it is about all), "metric", "title",
    "direction", "better", "than", "than_task" (the task of `than`, None if it is the same), "value" (the claim's
    `quantity`: a difference is the mean of `better` less that of `than`, an advantage the same in favour of `better`),
    "interval" [low, high], "p", "p_holm", "verdict", "missing"}. `missing` is {"reason", "fix"} where the verdict is
    n/a, or None. `seeds` is the number of seeds: with one, intervals and p-values are over inputs only. Raises
    UserError for two files of a task, for different seeds, and for compared tasks with different data.
    """
    study = read_study(comparisons, measured or {}, metrics or {}, unusable)
    decided = [{"name": name, **_decide(claim, study, texts)} for name, claim in claims.items()]
    return {"claims": decided, "seeds": study.seeds}


def _decide(claim: Claim, study: Decisive, texts: Texts) -> dict[str, Any]:
    quantity, tests = _tested(claim, study)
    cases: dict[tuple, list[Test]] = {}
    for test in tests:
        than = None if claim["than_one_of"] else test["than"]
        cases.setdefault((test["task"], test["metric"], test["better"], than), []).append(test)
    verdicts = {case: some(test["verdict"] for test in of_case) for case, of_case in cases.items()}
    tasks = [task for task in dict.fromkeys(task for task, *_ in cases) if task is not None]
    verdict = every(verdicts.values())
    return {
        **{key: claim[key] for key in ("text", "source", "at_least", "at_most")},
        "quantity": quantity,
        "verdict": verdict,
        "why": " ".join(
            [_why(claim, [(verdicts[case], of_case) for case, of_case in cases.items()], texts)]
            + (_limits(tests, study.compared.values()) if quantity in (DIFFERENCE, ADVANTAGE) else [])
        ),
        "tasks": {task: every(found for case, found in verdicts.items() if case[0] == task) for task in tasks},
        "tests": tests,
        "missing": _missing(claim, tests) if verdict == MISSING else None,
    }


def _tested(claim: Claim, study: Decisive) -> tuple[str, list[Test]]:
    """What a claim's tests measure, and the tests."""
    if claim["missing"]:
        return DIFFERENCE, []
    if claim["measured"]:
        return RATIO, ratio_tests(claim, study)
    if claim["grows_with"]:
        return CORRELATION, trend_tests(claim, study)
    tests = tests_across(claim, study) if claim["than_on"] else tests_within(claim, study.compared.values())
    return ADVANTAGE if has_bounds(claim) else DIFFERENCE, with_verdicts(claim, list(tests))


def _limits(tests: list[Test], files: Iterable[Compared]) -> list[str]:
    """What the intervals and p-values of a claim's differences cannot say, as sentences."""
    tasks = {test["task"] for test in tests if test["value"] is not None}
    n_tests = sum(test["p"] is not None for test in tests)
    found = {
        note[0].upper() + note[1:]: None
        for file in files
        if file["task"] in tasks
        for entry in file["metrics"].values()
        for note in limits(len(entry["seeds"]), file["n_inputs"], n_tests)
    }
    return list(found)


def _missing(claim: Claim, tests: list[Test]) -> dict[str, str]:
    """Why a claim is n/a: the first of the reasons."""
    if claim["missing"]:
        return dict(claim["missing"])
    if not tests:
        pairs = [f"{task} beside {other}" for task, other in (claim["than_on"] or {}).items()]
        reason = f"the study has no {' and no '.join(claim['tasks'] or pairs or ['task'])}, which the claim is about"
        return {"reason": reason, "fix": f"add such a {'pair' if pairs else 'task'} to the study's tasks"}
    first, *others = {tuple(test["missing"].values()): None for test in tests if test["missing"]}
    more = f" (and {len(others)} more like it)" if others else ""
    return {"reason": first[0] + more, "fix": first[1] + (", and see the others in claims.json" if others else "")}


def _why(claim: Claim, cases: list[tuple[str, list[Test]]], texts: Texts) -> str:
    """How many cases have which verdict, and the first tests that are against the claim."""
    if not cases:
        return "Nothing in this study tests it."
    found = [verdict for verdict, _ in cases]
    counts = ", ".join(f"{found.count(verdict)} {words}" for verdict, words in COUNTED.items() if verdict in found)
    several = " that hold if one of their tests does" if any(len(tests) > 1 for _, tests in cases) else ""
    why = f"{len(cases)} case{'s' if len(cases) > 1 else ''}{several}: {counts}."
    against = [_against(claim, test, texts) for verdict, tests in cases if verdict == FAILS for test in tests]
    more = f"; and {len(against) - NAMED} more" if len(against) > NAMED else ""
    return f"{why} Against it: {'; '.join(against[:NAMED])}{more}." if against else why


def _against(claim: Claim, test: Test, texts: Texts) -> str:
    """What a test found that is against the claim."""
    better, than = (texts.systems.get(test[key], test[key]) for key in ("better", "than"))
    if claim["grows_with"]:
        return f"{better} is the further behind {than} the larger {test['title'].partition(' and ')[0]} is"
    place, other = (key and texts.of_task(key, "title", key) for key in (test["task"], test["than_task"]))
    where = f"on {place}"
    word = "better" if has_bounds(claim) else "worse"
    compared = f"{better} is {word} than {than} in {test['title']} {where}"
    if other:
        compared = f"{better} is {word} {where} than on {other} in {test['title']}"
    if not has_bounds(claim):
        return compared
    form = f".{DIGITS}f" if claim["measured"] else f"+.{DIGITS}f"
    value, low, high = (f"{number:{form}}".replace("-", "−") for number in (test["value"], *test["interval"]))
    if claim["measured"]:
        pair = "" if better is None else f", {better} beside {than},"
        return f"{test['title']}{pair} {where} is {value} ({low} to {high})"
    return f"{compared} by {value} ({low} to {high})"
