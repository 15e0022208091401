"""The metrics by which outputs are compared with references. A new metric is one entry in `METRICS`."""

import difflib
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from fdistill import __version__
from fdistill.evaluation.metrics import bertscore, bleurt, encoders, meteor, moverscore, overlap, texts
from fdistill.evaluation.metrics.score import MetricMissing, Score
from fdistill.runtime.errors import UserError

__all__ = ["METRICS", "Metric", "MetricMissing", "Score", "evaluate", "nearest"]


@dataclass(frozen=True)
class Metric:
    """One metric: its column in the tables, and the function that computes it over a test split."""

    title: str
    better: Literal["higher", "lower"]
    function: Callable[..., Score]  # (hypotheses, references, options), and threads= if it is parallel
    packages: tuple[str, ...] = ()  # whose versions a metrics file records
    own_options: dict[str, dict] = field(default_factory=dict)  # by name, what they may be, as a schema
    required: tuple[str, ...] = ()  # those of them that it cannot do without
    parallel: bool = False
    # given its options: raises MetricMissing when it cannot be computed here, returns the hub id of what it would fetch
    needs: Callable[[dict], str | None] = lambda options: None

    @property
    def options(self) -> dict[str, dict]:
        """The options it understands, those that all metrics share included."""
        return texts.OPTIONS | self.own_options


_SACREBLEU = ("sacrebleu",)
_ROUGE = ("rouge-score", "nltk")
_TORCH = ("torch", "transformers")


def _bleu(order: int) -> Metric:
    function = partial(overlap.bleu, order=order)
    return Metric(f"BLEU-{order}", "higher", function, _SACREBLEU, overlap.BLEU_OPTIONS)


def _rouge(kind: str, title: str) -> Metric:
    return Metric(title, "higher", partial(overlap.rouge, kind=kind), _ROUGE)


METRICS = {
    "bleu1": _bleu(1),
    "bleu2": _bleu(2),
    "bleu4": _bleu(4),
    "chrf": Metric("chrF", "higher", overlap.chrf, _SACREBLEU),
    "ter": Metric("TER", "lower", overlap.ter, _SACREBLEU, parallel=True),
    "rouge1": _rouge("rouge1", "ROUGE-1"),
    "rouge2": _rouge("rouge2", "ROUGE-2"),
    "rougeL": _rouge("rougeL", "ROUGE-L"),
    "meteor": Metric("METEOR", "higher", meteor.meteor, (meteor.PACKAGE,), meteor.OPTIONS, needs=meteor.needs),
    "bertscore": Metric(
        "BERTScore",
        "higher",
        bertscore.bertscore,
        ("bert-score", *_TORCH),
        bertscore.OPTIONS,
        required=("model",),
        needs=partial(encoders.needs, "bertscore"),
    ),
    "moverscore": Metric(
        "MoverScore",
        "higher",
        moverscore.moverscore,
        ("POT", *_TORCH),
        moverscore.OPTIONS,
        required=("model",),
        needs=partial(encoders.needs, "moverscore"),
    ),
    "bleurt": Metric("BLEURT", "higher", bleurt.bleurt, _TORCH, bleurt.OPTIONS, needs=bleurt.needs),
}


def evaluate(
    hypotheses: list[str],
    references: list[list[str]],
    metrics: list[str],
    options: dict[str, dict] | None = None,
    threads: int = 1,
) -> dict[str, Any]:
    """Compute `metrics` over a test split.

    Arguments: one hypothesis and at least one reference per input; the metrics' keys; `options` per metric, null
    as if not given; the processes that a metric may take. The options that all metrics share (`texts.OPTIONS`) are
    applied here, and written behind the metric's own signature.
    Returns `{"n_inputs", "metrics": {key: {"title", "direction", "value", "signature", "missing"}},
    "versions"}`; a metric that cannot be had has value and signature None and `missing` = {"reason", "fix"}.
    Raises UserError for unknown metrics, options and values, and for inputs without hypothesis or reference.
    """
    options = {
        key: {name: value for name, value in chosen.items() if value is not None}
        for key, chosen in (options or {}).items()
    }
    _check_keys(metrics, options)
    _check_texts(hypotheses, references)
    scores = {}
    for key in metrics:
        metric = METRICS[key]
        entry = {
            "title": metric.title,
            "direction": metric.better,
            "value": None,
            "signature": None,
            "missing": None,
        }
        try:
            score = _compute(metric, hypotheses, references, options.get(key, {}), threads)
            entry |= {"value": score.value, "signature": score.signature}
        except MetricMissing as missing:
            entry["missing"] = {"reason": missing.reason, "fix": missing.fix}
        scores[key] = entry
    return {"n_inputs": len(hypotheses), "metrics": scores, "versions": _versions(metrics)}


def _compute(metric: Metric, hypotheses: list[str], references: list[list[str]], options: dict, threads: int) -> Score:
    hypotheses, references, done = texts.prepared(hypotheses, references, options)
    score = metric.function(hypotheses, references, options, **({"threads": threads} if metric.parallel else {}))
    return Score(score.value, "|".join([score.signature, *done]))


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` when a known word is close, then the known words, for an error message."""
    known = list(known)
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return (f" (did you mean '{close[0]}'?)" if close else "") + f"; known: {', '.join(known) or 'none'}"


def _check_keys(metrics: list[str], options: dict[str, dict]) -> None:
    from fdistill.runtime.validation import problems  # late: the configuration's checks read METRICS

    if not metrics:
        raise UserError(f"no metric asked for; known: {', '.join(METRICS)}")
    for key in (*metrics, *options):
        if key not in METRICS:
            raise UserError(f"unknown metric '{key}'{nearest(key, METRICS)}")
    for key, chosen in options.items():
        for option in chosen:
            known = METRICS[key].options
            if option not in known:
                raise UserError(f"metric '{key}': unknown option '{option}'{nearest(option, known)}")
        if wrong := problems(chosen, {"type": "object", "properties": METRICS[key].options}):
            raise UserError(f"metric '{key}': {wrong[0].line('option')}")


def _check_texts(hypotheses: list[str], references: list[list[str]]) -> None:
    if not hypotheses:
        raise UserError("no hypotheses to score: the generations are empty")
    if len(hypotheses) != len(references):
        raise UserError(
            f"{len(hypotheses)} hypotheses but {len(references)} inputs with references; "
            "generate again from this test split"
        )
    for row, several in enumerate(references):
        if not several:
            raise UserError(f"row {row} of the test split has no reference; every input needs at least one")


def _versions(metrics: list[str]) -> dict[str, str]:
    packages = dict.fromkeys(package for key in metrics for package in METRICS[key].packages)
    versions = {"python": platform.python_version(), "fdistill": __version__}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
