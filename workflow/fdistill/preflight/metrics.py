"""The check of metrics: whether each metric of the study can be computed here."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from fdistill.evaluation.metrics import METRICS, MetricMissing, encoders
from fdistill.models.checkpoint_files import SAFETENSORS, TOKENIZERS
from fdistill.models.location import CONFIG, WEIGHTS
from fdistill.preflight import hub, reach
from fdistill.preflight.plan import Finding, Plan
from fdistill.runtime.errors import UserError

ENCODER_TOKENIZERS = ({"vocab.txt"}, *TOKENIZERS)  # BERT's is no teacher's


def check(plan: Plan) -> Iterator[Finding]:
    """Yield one finding per task, and one for each metric that would be n/a in its tables."""
    for task, settings in plan.tasks():
        where = f"{task}: metrics"
        ready = []
        for key in _keys(plan, task, settings):
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


def _keys(plan: Plan, task: str, settings: dict[str, Any]) -> list[str]:
    """The metrics of a task's tables and of its selections, without nll, which needs nothing."""
    selection_metrics = (plan.study.selection(task, stage)["metric"] for stage in settings["training"])
    return [key for key in dict.fromkeys([*settings["metrics"], *selection_metrics]) if key in METRICS]


def downloads(plan: Plan) -> Iterator[hub.Download]:
    """Yield the encoders that jobs will download, of the metrics that can be computed."""
    for task, settings in plan.tasks():
        for key in _keys(plan, task, settings):
            with suppress(MetricMissing, UserError):
                if to_fetch := _to_fetch(key, settings["metric_options"].get(key, {})):
                    yield to_fetch


def _to_fetch(key: str, options: dict[str, Any]) -> hub.Download | None:
    """Return the model that must be downloaded, or None; raises when the metric cannot be computed here."""
    hub_id = METRICS[key].needs(options)
    if hub_id is None and options.get("model"):
        encoders.look_at(encoders.locate(key, options["model"]))
    if hub_id is None or hub.is_cached(hub_id, False, ENCODER_TOKENIZERS):
        return None
    try:
        files = reach.hub_model(hub_id)
        lacking = _lacking(set(files))
        if lacking is None:
            return hub.download(hub_id, files)
    except UserError as error:
        text = f"{error}; download it where there is a network, and set metric_options.{key}.model to its folder"
        raise UserError(text) from None
    raise UserError(f"{hub_id} has no {lacking}; save a whole copy, and set metric_options.{key}.model to its folder")


def _lacking(files: set[str]) -> str | None:
    """What an encoder with `files` lacks that a metric reads; None if it has all."""
    if CONFIG not in files:
        return CONFIG
    if not files & SAFETENSORS:
        return f"{WEIGHTS}, and nothing else is read"
    return None if any(kind <= files for kind in ENCODER_TOKENIZERS) else "tokenizer"
