"""Metrics: whether each one that the study asks for can be computed here."""

from collections.abc import Iterator
from typing import Any

from fdistill.evaluation.metrics import METRICS, MetricMissing
from fdistill.preflight import reach
from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError


def check(plan: Plan) -> Iterator[Finding]:
    """One finding per task, and one for each metric that its tables would lack."""
    for task, settings in plan.tasks():
        where = f"{task}: metrics"
        selected = (plan.study.selection(task, stage)["metric"] for stage in settings["training"])
        ready = []
        for key in dict.fromkeys([*settings["metrics"], *selected]):
            if key not in METRICS:  # the likelihood, which needs nothing
                continue
            title, options = METRICS[key].title, settings["metric_options"].get(key, {})
            try:
                to_fetch = _to_fetch(key, options)
            except (MetricMissing, UserError) as missing:
                chosen = "model" not in METRICS[key].own_options or options.get(
                    "model"
                )  # else it is left out knowingly
                yield Finding(where, f"{title} will be n/a: {missing}", problem=bool(chosen))
            else:
                ready.append(f"{title} ({plan.on_the_hub(to_fetch)})" if to_fetch else title)
        yield Finding(where, f"{', '.join(ready)}: ready")


def _to_fetch(key: str, options: dict[str, Any]) -> str | None:
    """The hub id of a model that is still to be fetched; raises when the metric cannot be computed here."""
    hub_id = METRICS[key].needs(options)
    if hub_id is None or reach.cached(hub_id, "config.json"):
        return None
    try:
        reach.hub_model(hub_id)
    except UserError as error:
        text = f"{error}; fetch it where there is a network, and give its folder as metric_options.{key}.model"
        raise UserError(text) from None
    return hub_id
