"""Tests of claims about a measured ratio, and about a trend over tasks.

A ratio is decided by its 95 % interval and the claim's bounds. A trend is the rank correlation over tasks (Spearman) of
a property of the task with what `better` is ahead of `than` in the task's main metric, in its points; p is the share of
all orders of the tasks that are as extreme, two-sided.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_json
from fdistill.evaluation.aggregate import RISK_TITLES, TEACHER_DIST, read_aggregated
from fdistill.evaluation.claims.differences import OUTSIDE, difference_test
from fdistill.evaluation.claims.study import LAYERS, ONLINE, TEACHER, Decisive
from fdistill.evaluation.claims.verdicts import FAILS, HOLDS, UNDECIDED, Claim, Test, new_test, untested, within
from fdistill.evaluation.resampling import CONFIDENCE
from fdistill.evaluation.times import LAYERS_FILE, ONLINE_FILE

FEWEST_TASKS = 5  # of the 5! orders of tasks 2 are as extreme as the most extreme one, p = 0.017; of 4!, p = 0.083
ORDERS = 10_000  # of more tasks than 7, p is that of as many random orders


@dataclass(frozen=True)
class Ratio:
    """A ratio that a study may measure: the kind of file, how its tests are read, and the target that makes it."""

    file: str
    read: Callable[[Path], list[dict[str, Any]]]
    fix: str


def _offline_speedup(path: Path) -> list[dict[str, Any]]:
    """The time of a step on online samples of the teacher over that on offline ones, of each pair of methods."""
    return [
        {
            "title": "Speed-up of a training step",
            "better": pair["offline"],
            "than": pair["online"],
            "value": pair["speedup"]["median"],
            "interval": pair["speedup"]["interval"],
        }
        for pair in read_json(path, ONLINE_FILE)["pairs"]
    ]


def _decoder_layer(path: Path) -> list[dict[str, Any]]:
    """The time of a decoder layer over that of an encoder layer, in a forward pass, as Shleifer & Rush timed it."""
    ratio = read_json(path, LAYERS_FILE)["fits"]["forward"]["ratio"]  # None without an encoder
    return [] if ratio is None else [{"title": "Decoder layer's time / encoder layer's", **ratio}]


RATIOS = {
    "offline_speedup": Ratio(
        ONLINE, _offline_speedup, "add js and js_online, or tvd and tvd_online, to the study's methods"
    ),
    "decoder_layer": Ratio(LAYERS, _decoder_layer, "set deployment: true in the study, with an encoder-decoder model"),
}


def ratio_tests(claim: Claim, study: Decisive) -> list[Test]:
    """Return the tests of a claim with `measured`."""
    ratio = RATIOS[claim["measured"]]
    tests: list[Test] = []
    for task, file in study.compared.items():
        if claim["tasks"] and task not in claim["tasks"]:
            continue
        path = study.measured.get(ratio.file, {}).get(task)
        test = new_test(task, claim["measured"], claim["measured"])
        found = ratio.read(path) if path else []
        tests += [_ratio_test(claim, test | one) for one in found]
        if not found:
            fix = OUTSIDE if file["unusable"] else ratio.fix
            tests.append(untested(test, f"the study has not measured {claim['measured']} on {task}", fix))
    return tests


def _ratio_test(claim: Claim, test: Test) -> Test:
    if test["interval"] is None:
        return untested(test, f"{test['task']} was measured too few times for an interval", "measure more steps")
    return test | {"verdict": within(claim, test["interval"])}


def trend_tests(claim: Claim, study: Decisive) -> list[Test]:
    """Return the one test of a claim with `grows_with`, which has no task of its own."""
    [better], [than] = claim["better"], claim["than"]
    test = new_test(None, claim["grows_with"], "TeacherDist and the main metric", better=better, than=than)
    tasks = [task for task in study.compared if not claim["tasks"] or task in claim["tasks"]]
    if len(tasks) < FEWEST_TASKS:
        reason = f"tasks to rank: {len(tasks)}; with fewer than {FEWEST_TASKS} even a perfect order has p > 0.05"
        return [untested(test, reason, f"use {FEWEST_TASKS} tasks or more")]
    singles = [_main_difference(study.compared[task], better, than) for task in tasks]
    if without := [single["missing"] for single in singles if single["missing"]]:
        return [untested(test, **without[0])]
    ahead = [single["value"] if single["direction"] == "higher" else -single["value"] for single in singles]
    varied = [_teacher_dist(study.measured.get(TEACHER, {}).get(task)) for task in tasks]
    if None in varied or 1 in (len(set(varied)), len(set(ahead))):
        reason = "TeacherDist is missing for a task, or the tasks cannot be ordered as they are all equal"
        return [untested(test, reason, "see the study's tables tables/risk.md and tables/main.md")]
    rho, p = _rank_correlation(varied, ahead)
    verdict = UNDECIDED if p > 1 - CONFIDENCE else HOLDS if rho > 0 else FAILS
    return [test | {"value": rho, "p": p, "p_holm": p, "verdict": verdict}]


def _main_difference(file: Mapping[str, Any], better: str, than: str) -> Test:
    """The test of two methods in the first of the task's metrics in which they are compared."""
    tests = [difference_test(file, metric, better, than) for metric in file["metrics"] if metric not in RISK_TITLES]
    return next((test for test in tests if test["missing"] is None), tests[0])


def _teacher_dist(path: Path | None) -> float | None:
    return None if path is None else read_aggregated(path, "risks")["risks"][TEACHER_DIST]["mean"]


def _rank_correlation(x: list[float], y: list[float]) -> tuple[float, float]:
    """Spearman's coefficient of two lists, and its two-sided p-value by permutation."""
    from scipy import stats

    test = stats.permutation_test(
        (x,),
        lambda order: stats.spearmanr(order, y).statistic,
        permutation_type="pairings",
        n_resamples=ORDERS,
        vectorized=False,
        rng=0,
    )
    return float(test.statistic), float(test.pvalue)
