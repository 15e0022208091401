"""Checks of a task's metrics: those of the tables, and those by which training selects its weights.

See `fdistill.config.crosschecks`, which runs them.
"""

from collections.abc import Iterator
from typing import Any

from fdistill.config.model_checks import Task
from fdistill.config.schema import section
from fdistill.evaluation.metrics import METRICS
from fdistill.runtime.validation import Problem, nearest, problems

NLL = "nll"  # the selection metric that is not a metric of the tables


def check_metrics(task: Task) -> Iterator[Problem]:
    """Check that the task's metrics exist."""
    for index, name in enumerate(task["metrics"]):
        if name not in METRICS:
            yield Problem(("metrics", index), f"unknown metric '{name}'; {nearest(name, METRICS)}")


def check_options(task: Task) -> Iterator[Problem]:
    """Check the options of metrics."""
    yield from (problem.under("metric_options") for problem in option_problems(task["metric_options"]))


def option_problems(by_metric: dict[str, Any]) -> Iterator[Problem]:
    """Yield the problems of options by metric."""
    for name, options in by_metric.items():
        if name not in METRICS:
            yield Problem((name,), f"unknown metric; {nearest(name, METRICS)}")
            continue
        known = METRICS[name].options
        for option, value in options.items():
            if option not in known:
                yield Problem((name, option), f"unknown option; {nearest(option, known)}")
            elif value is not None:  # null means that the option is not given
                mistakes = problems({option: value}, {"type": "object", "properties": known})
                yield from (problem.under(name) for problem in mistakes)


def check_required_options(task: Task) -> Iterator[Problem]:
    """Check that every metric of the tables and of a selection has the options without which it cannot be computed."""
    selection_metrics = [settings.get("metric") for _, settings in _selections(task)]
    for name in dict.fromkeys([*task["metrics"], *selection_metrics]):
        for option in METRICS[name].required if name in METRICS else ():
            if not task["metric_options"].get(name, {}).get(option):
                yield Problem(
                    ("metric_options", name, option),
                    f"missing; metric '{name}' cannot be computed without it; "
                    f"set it (see fdistill/evaluation/metrics/{name}.py) or remove the metric",
                )


def check_selection(task: Task) -> Iterator[Problem]:
    """Check how each training stage selects its weights."""
    for path, settings in _selections(task):
        if path[-1] not in ("selection", *task["training"]):
            yield Problem(path, f"unknown stage; {nearest(path[-1], task['training'])}")
            continue
        yield from (problem.under(*path) for problem in problems(settings, section("selection")))
        if path[-1] == "teacher" and "agreement_top_k" in settings:
            yield Problem((*path, "agreement_top_k"), "not used: a teacher has no other one to agree with; remove it")
        name = settings.get("metric", NLL)
        if isinstance(name, str) and name != NLL and name not in METRICS:
            yield Problem((*path, "metric"), f"unknown metric '{name}'; {nearest(name, [NLL, *METRICS])}")


def _selections(task: Task) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield the section `selection` and each stage's changes to it, with their keys in the task."""
    yield ("selection",), task["selection"]
    for stage, changes in task["selection_overrides"].items():
        yield ("selection_overrides", stage), changes
