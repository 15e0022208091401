"""Tests of claims that students are better on one task than on another, such as one with another kind of model.

Both tasks have the same data, so that their systems' replicates, which are over the same samples of test inputs, are
paired as those of two systems of one task are.
"""

from collections.abc import Iterator
from pathlib import Path

from fdistill.artifacts.lineage import DATA, lineage_of
from fdistill.evaluation.aggregate import RISK_TITLES, read_aggregated
from fdistill.evaluation.claims.differences import why_untested
from fdistill.evaluation.claims.study import Decisive
from fdistill.evaluation.claims.verdicts import Claim, Test, new_test, untested
from fdistill.evaluation.comparisons import measurement, paired
from fdistill.runtime.errors import UserError


def tests_across(claim: Claim, study: Decisive) -> Iterator[Test]:
    """Yield the tests of a claim with `than_on`, without verdicts: each method's mean on a task less that on the other.

    Pairs of tasks of which the study lacks one are left out. Raises UserError for two tasks with different data, and
    for a `metrics.json` that is not given.
    """
    for task, other in claim["than_on"].items():
        if task not in study.compared or other not in study.compared:
            continue
        scores = [key for key in study.compared[task]["metrics"] if key not in RISK_TITLES]
        for metric in claim["metrics"] or scores:
            for method in claim["better"]:
                yield _test(study, metric, method, task, other)


def _test(study: Decisive, metric: str, method: str, task: str, other: str) -> Test:
    compared = [study.compared[key] for key in (task, other)]
    found = next((file["metrics"][metric] for file in compared if metric in file["metrics"]), {})
    title = found.get("title", metric)
    test = new_test(task, metric, title, direction=found.get("direction"), better=method, than=method, than_task=other)
    for file in compared:
        is_known = method in file["students"] and metric in file["metrics"]
        if not is_known or method in file["metrics"][metric]["missing"]:
            return untested(test, *why_untested(file, metric, title, [method]))
    paths = [_metrics_of(study, key, method) for key in (task, other)]
    _check_data(*paths)
    entries = [read_aggregated(path, "metrics")["metrics"][metric] for path in paths]
    one, another = (entry["signature"] for entry in entries)
    if one != another:
        ways = f"{title} is computed in different ways on {task} ({one}) and {other} ({another})"
        return untested(test, ways, "give both tasks the same metric_options")
    first, second = (measurement(path, metric, entry["seeds"]) for path, entry in zip(paths, entries, strict=True))
    difference = paired(first, second)
    return test | {"value": difference["difference"], "interval": difference["interval"], "p": difference["p"]}


def _metrics_of(study: Decisive, task: str, method: str) -> Path:
    if (task, method) not in study.metrics:
        raise UserError(f"a claim compares task '{task}' with another one; give --metrics {task}/{method}=FILE")
    return study.metrics[task, method]


def _check_data(path: Path, other: Path) -> None:
    """Raise UserError unless both files say that they are of the same data, and so of the same test inputs."""
    versions = [lineage_of(file).get(DATA) for file in (path, other)]
    if None in versions or versions[0] != versions[1]:
        raise UserError(
            f"{other}: does not belong to the same version of the data as {path}; a claim compares the two tasks "
            "(than_on), which must have the same test inputs: give both the same source, or remove them from the claim"
        )
