"""The check of metrics: whether each metric of the study can be computed here."""

from collections.abc import Iterator
from typing import Any

from fdistill.evaluation.metrics import METRICS, MetricMissing, encoders
from fdistill.preflight import reach
from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding per task, and one for each metric that would be n/a in its tables."""
    for task, settings in plan.tasks():
        where = f"{task}: metrics"
        selection_metrics = (plan.study.selection(task, stage)["metric"] for stage in settings["training"])
        ready = []
        for key in dict.fromkeys([*settings["metrics"], *selection_metrics]):
            if key not in METRICS:  # nll, which needs nothing
                continue
            title, options = METRICS[key].title, settings["metric_options"].get(key, {})
            try:
                to_fetch = _to_fetch(key, options)
            except (MetricMissing, UserError) as missing:
                # A metric that needs a model and has none set is left out on purpose: that is no problem.
                is_wanted = "model" not in METRICS[key].own_options or options.get("model")
                yield Finding(where, f"{title} will be n/a: {missing}", problem=bool(is_wanted))
            else:
                ready.append(f"{title} ({plan.on_the_hub(to_fetch)})" if to_fetch else title)
        yield Finding(where, f"{', '.join(ready)}: ready")


def _to_fetch(key: str, options: dict[str, Any]) -> str | None:
    """Return the hub id of a model that must be downloaded, or None; raises when the metric cannot be computed here."""
    hub_id = METRICS[key].needs(options)
    if hub_id is None and options.get("model"):
        encoders.look_at(encoders.locate(key, options["model"]))
    if hub_id is None or reach.cached(hub_id, "config.json"):
        return None
    try:
        reach.hub_model(hub_id)
    except UserError as error:
        text = f"{error}; download it where there is a network, and set metric_options.{key}.model to its folder"
        raise UserError(text) from None
    return hub_id
