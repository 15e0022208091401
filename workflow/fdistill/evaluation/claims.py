"""Which claims of papers hold in a study, decided from its comparisons of students.

A claim says that methods are better than others. Its tests are comparisons of two of them on one task in one metric
(`fdistill.evaluation.comparisons`). A claim's p-values are corrected together (Holm 1979), without those of others, so
that a further claim changes no verdict. A test holds if it is significant in the claimed direction, fails if it is in
the other, and is undecided if it is not significant; it is n/a if a method or a number is missing.

A claim is about every case: it fails if one case fails; or else it is n/a if one is, undecided if one is, and holds. A
case is one test. With `than_one_of` it is all tests of one better method on one task in one metric, and holds if one of
them does; or else it is n/a if one is, undecided if one is, and fails.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_json
from fdistill.artifacts.shapes import COUNT
from fdistill.artifacts.systems import split_size
from fdistill.evaluation.aggregate import RISK_TITLES
from fdistill.evaluation.comparisons import COMPARISONS_FILE, differences
from fdistill.evaluation.resampling import CONFIDENCE, holm, limits
from fdistill.evaluation.texts import Texts
from fdistill.runtime.errors import UserError

HOLDS, FAILS, UNDECIDED, MISSING = "holds", "fails", "undecided", "n/a"
COUNTED = {HOLDS: "for it", FAILS: "against it", UNDECIDED: "undecided", MISSING: "n/a"}
NAMED = 3  # tests against a claim that its reason names

# What `decide_claims` returns, as `artifacts.shapes` describes it.
_MISSING = ({"reason": str, "fix": str}, None)
_NUMBERS = dict.fromkeys(("difference", "p", "p_holm"), (float, None)) | {"interval": ([float], None)}
_TEST = {
    **dict.fromkeys(("task", "metric", "title", "better", "than"), str),
    **{"direction": ("higher", "lower", None), **_NUMBERS, "verdict": tuple(COUNTED), "missing": _MISSING},
}
_DECIDED = {
    **dict.fromkeys(("name", "text", "source", "why"), str),
    **{"verdict": tuple(COUNTED), "tasks": {...: tuple(COUNTED)}, "tests": [_TEST], "missing": _MISSING},
}
CLAIMS_FILE = {"claims": [_DECIDED], "seeds": COUNT}

Claim = Mapping[str, Any]
Compared = Mapping[str, Any]
Test = dict[str, Any]


def decide_claims(claims: Mapping[str, Claim], comparisons: Iterable[Path], texts: Texts) -> dict[str, Any]:
    """Decide claims, as `fdistill.config.claim_checks` reads them, by files of comparisons, one for each task.

    Returns {"claims": [{"name", "text", "source", "verdict", "why", "tasks": {task: verdict}, "tests", "missing"}],
    "seeds"}. A test is {"task", "metric", "title", "direction", "better", "than", "difference" (the mean of `better`
    less that of `than`), "interval" [low, high], "p", "p_holm", "verdict", "missing"}. `missing` is {"reason", "fix"}
    where the verdict is n/a, or None. `seeds` is the number of seeds: with one, intervals and p-values are over inputs
    only. `texts` has the titles that "why" uses. Raises UserError for two files of a task and for different seeds.
    """
    files: dict[str, Compared] = {}
    first: tuple[Path | None, list[str]] = (None, [])  # a file with seeds, and they
    for path in comparisons:
        file = read_json(path, COMPARISONS_FILE)
        if file["task"] in files:
            raise UserError(f"{path}: a second file of task '{file['task']}'; give one of each task")
        files[file["task"]] = file
        for seeds in (entry["seeds"] for entry in file["metrics"].values() if entry["seeds"]):
            first = first if first[1] else (path, seeds)
            if seeds != first[1]:
                raise UserError(
                    f"{path}: has the seeds {', '.join(seeds)}, but {first[0]} has {', '.join(first[1])}; give files "
                    "of one study, or, of two that the workflow made, delete the older one and run again"
                )
    decided = [{"name": name, **_decide(claim, list(files.values()), texts)} for name, claim in claims.items()]
    return {"claims": decided, "seeds": len(first[1])}


def _decide(claim: Claim, files: Iterable[Compared], texts: Texts) -> dict[str, Any]:
    tests = [] if claim["missing"] else list(_tests(claim, files))
    tested = [test for test in tests if test["missing"] is None]
    for test, corrected in zip(tested, holm([test["p"] for test in tested]), strict=True):
        as_claimed = (test["difference"] > 0) == (test["direction"] == "higher")
        test["p_holm"] = corrected
        test["verdict"] = UNDECIDED if corrected > 1 - CONFIDENCE else HOLDS if as_claimed else FAILS
    cases: dict[tuple, list[Test]] = {}
    for test in tests:
        than = None if claim["than_one_of"] else test["than"]
        cases.setdefault((test["task"], test["metric"], test["better"], than), []).append(test)
    verdicts = {case: _some(test["verdict"] for test in of_case) for case, of_case in cases.items()}
    tasks = {task: _every(found for case, found in verdicts.items() if case[0] == task) for task, *_ in cases}
    verdict = _every(tasks.values())
    return {
        "text": claim["text"],
        "source": claim["source"],
        "verdict": verdict,
        "why": " ".join(
            [_why([(verdicts[case], of_case) for case, of_case in cases.items()], texts), *_limits(tests, files)]
        ),
        "tasks": tasks,
        "tests": tests,
        "missing": _missing(claim, tests) if verdict == MISSING else None,
    }


def _limits(tests: list[Test], files: Iterable[Compared]) -> list[str]:
    """What the claim's p-values cannot say, as sentences."""
    tasks = {test["task"] for test in tests if test["p"] is not None}
    tested = [file for file in files if file["task"] in tasks]
    n_tests = sum(test["p"] is not None for test in tests)
    found = {
        note[0].upper() + note[1:]: None
        for file in tested
        for entry in file["metrics"].values()
        for note in limits(len(entry["seeds"]), file["n_inputs"], n_tests)
    }
    return list(found)


def _every(verdicts: Iterable[str]) -> str:
    """The verdict on a statement about every one of these; of none, nothing is known."""
    found = set(verdicts)
    return next((verdict for verdict in (FAILS, MISSING, UNDECIDED, HOLDS) if verdict in found), MISSING)


def _some(verdicts: Iterable[str]) -> str:
    """The verdict on a statement about one of these, whichever."""
    found = set(verdicts)
    return next(verdict for verdict in (HOLDS, MISSING, UNDECIDED, FAILS) if verdict in found)


def _tests(claim: Claim, files: Iterable[Compared]) -> Iterator[Test]:
    for file in files:
        if claim["tasks"] and file["task"] not in claim["tasks"]:
            continue
        for metric in claim["metrics"] or (key for key in file["metrics"] if key not in RISK_TITLES):
            for better in claim["better"]:
                for than in claim["than"] or claim["than_one_of"]:
                    yield _test(file, metric, better, than)


def _test(file: Compared, metric: str, better: str, than: str) -> Test:
    """One test, whose verdict is still open unless it is n/a."""
    entry = file["metrics"].get(metric, {"title": metric, "direction": None, "pairs": []})
    test = {"task": file["task"], "metric": metric, "title": entry["title"], "direction": entry["direction"]}
    test |= {"better": better, "than": than, "difference": None, "interval": None, "p": None, "p_holm": None}
    for pair in entry["pairs"]:
        if {pair["a"], pair["b"]} == {better, than}:
            difference = differences([pair])[better, than]
            found = {"difference": difference.value, "interval": [difference.low, difference.high], "p": pair["p"]}
            return test | found | {"verdict": UNDECIDED, "missing": None}
    return test | {"verdict": MISSING, "missing": _why_untested(file, metric, entry["title"], [better, than])}


def _why_untested(file: Compared, metric: str, title: str, systems: list[str]) -> dict[str, str]:
    """Why two systems are not compared in a metric: the reason and the remedy."""
    task = file["task"]
    if absent := [system for system in systems if system not in file["students"]]:
        names = " and ".join(absent)
        where = "the study's methods"
        if any(split_size(system)[1] for system in absent):
            where += ", and what follows - to the task's model.student_sizes"
        return {"reason": f"the study has no student {names} on {task}", "fix": f"add {names} to {where}"}
    if metric not in file["metrics"]:
        fix = f"add {metric} to the task's metrics, or limit the claim (its key tasks) to tasks that have it"
        return {"reason": f"{task} is not scored by {metric}", "fix": fix}
    without = [system for system in systems if system in file["metrics"][metric]["missing"]]
    reason = f"{title} has no value for {' and '.join(without or systems)} on {task}"
    table = "risk" if metric in RISK_TITLES else "main"
    return {
        "reason": reason,
        "fix": f"see the study's table tables/{table}.md, and the score.json or risk.json of each seed",
    }


def _missing(claim: Claim, tests: list[Test]) -> dict[str, str]:
    """Why a claim is n/a: the first of the reasons."""
    if claim["missing"]:
        return dict(claim["missing"])
    if not tests:
        reason = f"the study has no {' and no '.join(claim['tasks'] or ['task'])}, which the claim is about"
        return {"reason": reason, "fix": "add such a task to the study's tasks"}
    first, *others = {tuple(test["missing"].values()): None for test in tests if test["missing"]}
    more = f" (and {len(others)} more like it)" if others else ""
    return {"reason": first[0] + more, "fix": first[1] + (", and see the others in claims.json" if others else "")}


def _why(cases: list[tuple[str, list[Test]]], texts: Texts) -> str:
    """How many cases have which verdict, and the first tests that are against the claim."""
    if not cases:
        return "Nothing in this study tests it."
    found = [verdict for verdict, _ in cases]
    counts = ", ".join(f"{found.count(verdict)} {words}" for verdict, words in COUNTED.items() if verdict in found)
    several = " that hold if one of their tests does" if any(len(tests) > 1 for _, tests in cases) else ""
    why = f"{len(cases)} case{'s' if len(cases) > 1 else ''}{several}: {counts}."
    against = [
        f"{texts.systems.get(test['better'], test['better'])} is worse than "
        f"{texts.systems.get(test['than'], test['than'])} in {test['title']} on "
        f"{texts.of_task(test['task'], 'title', test['task'])}"
        for verdict, tests in cases
        if verdict == FAILS
        for test in tests
    ]
    more = f"; and {len(against) - NAMED} more" if len(against) > NAMED else ""
    return f"{why} Against it: {'; '.join(against[:NAMED])}{more}." if against else why
