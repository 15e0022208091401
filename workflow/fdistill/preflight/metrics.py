"""Metrics: whether each one that the study asks for can be computed here."""

from collections.abc import Iterator
from typing import Any

from fdistill.errors import UserError
from fdistill.evaluation.metrics import METRICS, MetricMissing
from fdistill.preflight import reach
from fdistill.preflight.plan import Finding, Plan


def check(plan: Plan) -> Iterator[Finding]:
    """One finding per task, and one for each metric that its tables would lack."""
    for task, settings in plan.tasks():
        where = f"{task}: metrics"
        selected = (plan.study.selection(task, stage)["metric"] for stage in settings["training"])
        ready = []
        for key in dict.fromkeys([*settings["metrics"], *selected]):
            if key not in METRICS:  # the likelihood, which needs nothing
                continue
            options = settings["metric_options"].get(key, {})
            problem = _missing(key, options)
            if problem is None:
                ready.append(METRICS[key].title)
            else:
                chosen = "model" not in METRICS[key].own_options or options.get(
                    "model"
                )  # else it is left out knowingly
                yield Finding(where, f"{METRICS[key].title} will be n/a: {problem}", problem=bool(chosen))
        yield Finding(where, f"{', '.join(ready)}: ready")


def _missing(key: str, options: dict[str, Any]) -> str | None:
    """Why a metric cannot be computed here, and what to do; None when it can."""
    try:
        hub_id = METRICS[key].needs(options)
        if hub_id and not reach.cached(hub_id, "config.json"):
            reach.hub_model(hub_id)
    except MetricMissing as missing:
        return str(missing)
    except UserError as error:
        return f"{error}; fetch it where there is a network, and give its folder as metric_options.{key}.model"
    return None
