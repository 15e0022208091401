"""The scores of a model's outputs on the test split by another runtime, beside those of the study."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fdistill.evaluation.metrics import evaluate
from fdistill.evaluation.resampling import interval

SHOWN = ("title", "direction", "value", "missing")


def of_study(scores: Mapping[str, dict[str, Any]], replicates: Mapping[str, list[list[float]]]) -> dict[str, Any]:
    """Return the entries of deployment.json from those of score.json and their replicates."""
    return {key: _entry(score, replicates.get(key), None) for key, score in scores.items()}


def of_runtime(
    hypotheses: list[str],
    references: list[list[str]],
    options: dict[str, dict],
    threads: int,
    scores: Mapping[str, dict[str, Any]],
    replicates: Mapping[str, list[list[float]]],
) -> dict[str, Any]:
    """Score other outputs by the same metrics; `scores` and `replicates` are those of the study's own outputs.

    "difference" is the score less the study's, with its 95 % interval over inputs, which both have in common.
    """
    found = evaluate(hypotheses, references, list(scores), options, threads)["metrics"]
    entries = {}
    for key, score in found.items():
        values = score["replicates"]
        entries[key] = _entry(score, None if values is None else [values], (scores[key], replicates.get(key)))
    return entries


def _entry(
    score: dict[str, Any],
    replicates: Sequence[Sequence[float]] | None,
    study: tuple[dict[str, Any], Sequence[Sequence[float]] | None] | None,
) -> dict[str, Any]:
    entry = {key: score[key] for key in SHOWN} | {"interval": None, "difference": None}
    if replicates is None or score["value"] is None:
        return entry
    entry["interval"] = interval([score["value"]], replicates)
    if study and study[1] is not None:
        difference = score["value"] - study[0]["value"]
        entry["difference"] = {
            "value": difference,
            "interval": interval([difference], np.subtract(replicates, study[1]).tolist()),
        }
    return entry
