"""The metrics by which outputs are compared with references. A new metric is one entry in `METRICS`."""

import difflib
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from fdistill.errors import UserError
from fdistill.evaluation.metrics.bertscore import bertscore
from fdistill.evaluation.metrics.overlap import bleu, chrf, rouge, ter
from fdistill.evaluation.metrics.score import MetricMissing, Score

__all__ = ["METRICS", "Metric", "MetricMissing", "Score", "evaluate", "nearest"]


@dataclass(frozen=True)
class Metric:
    """One metric: its column in the tables, and the function that computes it over a test split."""

    title: str
    better: Literal["higher", "lower"]
    function: Callable[[list[str], list[list[str]], dict], Score]  # (hypotheses, references, options)
    packages: tuple[str, ...] = ()  # whose versions a metrics file records
    options: tuple[str, ...] = ()  # the options it understands
    required: tuple[str, ...] = ()  # those of them that it cannot do without


def _not_yet(hypotheses: list[str], references: list[list[str]], options: dict, *, name: str) -> Score:
    raise MetricMissing(
        f"the implementation of {name} is not part of this version yet",
        "use a later version of fdistill that has it, or take it out of the task's metrics",
    )


_SACREBLEU = ("sacrebleu",)
_ROUGE = ("rouge-score", "nltk")
_BLEU_OPTIONS = ("lowercase", "tokenize")

METRICS = {
    "bleu1": Metric("BLEU-1", "higher", partial(bleu, order=1), _SACREBLEU, _BLEU_OPTIONS),
    "bleu2": Metric("BLEU-2", "higher", partial(bleu, order=2), _SACREBLEU, _BLEU_OPTIONS),
    "bleu4": Metric("BLEU-4", "higher", partial(bleu, order=4), _SACREBLEU, _BLEU_OPTIONS),
    "chrf": Metric("chrF", "higher", chrf, _SACREBLEU),
    "ter": Metric("TER", "lower", ter, _SACREBLEU),
    "rouge1": Metric("ROUGE-1", "higher", partial(rouge, kind="rouge1"), _ROUGE),
    "rouge2": Metric("ROUGE-2", "higher", partial(rouge, kind="rouge2"), _ROUGE),
    "rougeL": Metric("ROUGE-L", "higher", partial(rouge, kind="rougeL"), _ROUGE),
    "bertscore": Metric(
        "BERTScore",
        "higher",
        bertscore,
        ("bert-score", "torch", "transformers"),
        options=("model", "num_layers", "rescale_with_baseline", "lang"),
        required=("model",),
    ),
    "meteor": Metric("METEOR", "higher", partial(_not_yet, name="METEOR")),
    "moverscore": Metric("MoverScore", "higher", partial(_not_yet, name="MoverScore")),
    "bleurt": Metric("BLEURT", "higher", partial(_not_yet, name="BLEURT")),
}


def evaluate(
    hypotheses: list[str],
    references: list[list[str]],
    metrics: list[str],
    options: dict[str, dict] | None = None,
) -> dict[str, Any]:
    """Compute `metrics` over a test split.

    Arguments: one hypothesis and at least one reference per input; the metrics' keys; `options` per metric.
    Returns `{"n_inputs", "metrics": {key: {"title", "direction", "value", "signature", "missing"}},
    "versions"}`; a metric that cannot be had has value and signature None and `missing` = {"reason", "fix"}.
    Raises UserError for unknown metrics or options, and for inputs without hypothesis or reference.
    """
    options = options or {}
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
            score = metric.function(hypotheses, references, options.get(key, {}))
            entry |= {"value": score.value, "signature": score.signature}
        except MetricMissing as missing:
            entry["missing"] = {"reason": missing.reason, "fix": missing.fix}
        scores[key] = entry
    return {"n_inputs": len(hypotheses), "metrics": scores, "versions": _versions(metrics)}


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` when a known word is close, then the known words, for an error message."""
    known = list(known)
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return (f" (did you mean '{close[0]}'?)" if close else "") + f"; known: {', '.join(known) or 'none'}"


def _check_keys(metrics: list[str], options: dict[str, dict]) -> None:
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
    versions = {"python": platform.python_version(), "fdistill": version("fdistill")}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
