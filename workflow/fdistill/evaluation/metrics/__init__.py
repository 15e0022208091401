"""Metrics that compare outputs with references. A new metric is one entry in `METRICS`."""

import logging
import math
import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from fdistill import __version__
from fdistill.evaluation.metrics import bertscore, bleurt, encoders, errors, meteor, moverscore, overlap, texts
from fdistill.evaluation.metrics.score import MetricFailed, MetricMissing, Score
from fdistill.evaluation.metrics.score_store import ScoreStore
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import nearest, problems

__all__ = ["METRICS", "Metric", "MetricFailed", "MetricMissing", "Score", "ScoreStore", "evaluate", "versions"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metric:
    """A metric: its column in the tables, and the function that computes it over a test split."""

    title: str
    better: Literal["higher", "lower"]
    function: Callable[..., Score]  # of (hypotheses, references, options), and of threads= if `parallel`
    packages: tuple[str, ...] = ()  # their versions are recorded with the scores
    own_options: dict[str, dict] = field(default_factory=dict)  # name -> schema
    required: tuple[str, ...] = ()  # names of options without which it cannot be computed
    parallel: bool = False
    note: str = ""  # what the title means here, where readers may expect something else
    by_sentence: bool = False  # whether texts come as a line per sentence, instead of as one line
    # Returns, from the options, the hub id of a model to download, if any; raises MetricMissing if it cannot run here.
    needs: Callable[[dict], str | None] = lambda options: None

    @property
    def options(self) -> dict[str, dict]:
        """All its options, with those that every metric has, by name and schema."""
        return texts.OPTIONS | self.own_options


_SACREBLEU = ("sacrebleu",)
_ROUGE = ("rouge-score", "nltk")
_TORCH = ("torch", "transformers")


def _bleu(order: int) -> Metric:
    function = partial(overlap.bleu, order=order)
    return Metric(f"BLEU-{order}", "higher", function, _SACREBLEU, overlap.BLEU_OPTIONS)


def _rouge(kind: str, title: str, by_sentence: bool = False) -> Metric:
    return Metric(title, "higher", partial(overlap.rouge, kind=kind), _ROUGE, by_sentence=by_sentence)


METRICS = {
    "bleu1": _bleu(1),
    "bleu2": _bleu(2),
    "bleu4": _bleu(4),
    "chrf": Metric("chrF", "higher", overlap.chrf, _SACREBLEU),
    "ter": Metric("TER", "lower", overlap.ter, _SACREBLEU, parallel=True),
    "per": Metric(
        "PER",
        "lower",
        errors.per,
        ("rapidfuzz",),
        note="edits of phonemes (symbols between blanks) to the nearest reference, in percent of its phonemes",
    ),
    "wer": Metric(
        "WER", "lower", errors.wer, note="inputs whose output is none of the references, in percent; not edits of words"
    ),
    "rouge1": _rouge("rouge1", "ROUGE-1"),
    "rouge2": _rouge("rouge2", "ROUGE-2"),
    "rougeL": _rouge("rougeL", "ROUGE-L"),
    "rougeLsum": _rouge("rougeLsum", "ROUGE-Lsum", by_sentence=True),
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
    store: ScoreStore | None = None,
) -> dict[str, Any]:
    """Compute `metrics`, keys of `METRICS`, over a test split.

    There is one hypothesis and at least one reference per input. `options` maps a metric to its options, where None
    means the default; `threads` is the number of processes of a parallel metric. The options that all metrics share
    (`texts.OPTIONS`) are applied here and appended to the metric's signature. `store` keeps what is computed, for a run
    that goes on after this one.

    Returns `{"n_inputs", "metrics": {key: {"title", "direction", "value", "signature", "missing", "replicates"}},
    "versions"}`; see `fdistill.evaluation.resampling` for the replicates. A metric that cannot be computed has value,
    signature and replicates None, and `missing` = {"reason", "fix"}.
    Raises UserError for unknown metrics, options and values, and for inputs without hypothesis or reference;
    MetricFailed, once the others are computed, when a metric broke or returned no finite number.
    """
    options = {
        key: {name: value for name, value in chosen.items() if value is not None}
        for key, chosen in (options or {}).items()
    }
    _check_keys(metrics, options)
    _check_texts(hypotheses, references)
    scores = store.read() if store else {}
    failures = []
    for key in metrics:
        if key in scores:
            continue
        try:
            scores[key] = _entry(METRICS[key], hypotheses, references, options.get(key, {}), threads)
            if store:
                store.add(key, scores[key])
        except UserError as error:
            text = str(error)
            failures.append(text if text.startswith("metric ") else f"metric '{key}': {text}")
        except Exception as error:  # a bug in the metric or its library; the other metrics know nothing of it
            log.exception("metric '%s' failed", key)
            failures.append(f"metric '{key}' failed: {type(error).__name__}: {error}".splitlines()[0])
    if failures:
        raise MetricFailed("; ".join(failures))
    return {
        "n_inputs": len(hypotheses),
        "metrics": {key: scores[key] for key in metrics},
        "versions": versions(metrics),
    }


def _entry(
    metric: Metric, hypotheses: list[str], references: list[list[str]], options: dict, threads: int
) -> dict[str, Any]:
    """The result of one metric, in the form in which it is recorded."""
    unknown = dict.fromkeys(("value", "signature", "missing", "replicates"))
    entry = {"title": metric.title, "direction": metric.better, **unknown}
    try:
        score = _compute(metric, hypotheses, references, options, threads)
    except MetricMissing as missing:
        return entry | {"missing": {"reason": missing.reason, "fix": missing.fix}}
    if not math.isfinite(score.value):
        raise MetricFailed(f"its value is {score.value}; check its encoder's weights, and the outputs")
    return entry | {
        "value": score.value,
        "signature": score.signature,
        "replicates": score.replicates,
    }


def _compute(metric: Metric, hypotheses: list[str], references: list[list[str]], options: dict, threads: int) -> Score:
    hypotheses, references, steps = texts.prepare(hypotheses, references, options, metric.by_sentence)
    score = metric.function(hypotheses, references, options, **({"threads": threads} if metric.parallel else {}))
    return replace(score, signature="|".join([score.signature, *steps]))


def _check_keys(metrics: list[str], options: dict[str, dict]) -> None:
    if not metrics:
        raise UserError(f"no metric is given; known: {', '.join(METRICS)}")
    for key in (*metrics, *options):
        if key not in METRICS:
            raise UserError(f"unknown metric '{key}'; {nearest(key, METRICS)}")
    for key, chosen in options.items():
        for option in chosen:
            known = METRICS[key].options
            if option not in known:
                raise UserError(f"metric '{key}': unknown option '{option}'; {nearest(option, known)}")
        if wrong := problems(chosen, {"type": "object", "properties": METRICS[key].options}):
            raise UserError(f"metric '{key}': {wrong[0].line('option')}")


def _check_texts(hypotheses: list[str], references: list[list[str]]) -> None:
    if not hypotheses:
        raise UserError("there are no hypotheses to score: the generations are empty; run rule generate again")
    if len(hypotheses) != len(references):
        raise UserError(
            f"{len(hypotheses)} hypotheses but {len(references)} inputs with references; "
            "run rule generate again on this test split"
        )
    for row, of_input in enumerate(references):
        if not of_input:
            raise UserError(f"row {row} of the test split has no reference; every input needs at least one")


def versions(metrics: list[str]) -> dict[str, str]:
    """Return the versions of Python, this library, and the packages that compute `metrics`."""
    packages = dict.fromkeys(package for key in metrics for package in METRICS[key].packages)
    found = {"python": platform.python_version(), "fdistill": __version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
