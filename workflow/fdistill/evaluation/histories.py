"""Training curves: what `train.jsonl` says of a training, step by step."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_json_lines
from fdistill.artifacts.shapes import COUNT
from fdistill.evaluation.metrics import METRICS

# What training measures on the development split, besides metrics of `fdistill.evaluation.metrics`.
LOSS = "nll"  # the mean over its references, per token, in nats
LOG_PROB_GAP = "log_prob_gap"  # how much likelier its references are to the teacher, per token, in nats
_OVERLAP = re.compile(r"top_(\d+)_overlap")  # the share of the teacher's likeliest tokens that the student has too


def overlap_name(top_k: int) -> str:
    """Return the name of the overlap of the `top_k` likeliest tokens of student and teacher."""
    return f"top_{top_k}_overlap"


def dev_title(metric: str) -> str:
    """Return what a metric on the development split is called in figures."""
    if found := _OVERLAP.fullmatch(metric):
        return f"top-{found[1]} overlap with the teacher"
    if metric == LOG_PROB_GAP:
        return "log-probability gap (nats)"
    return METRICS[metric].title if metric in METRICS else metric.upper()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a training log, none for a model that was not trained.

    Raises UserError when the file is missing or damaged.
    """
    lines, _ = read_json_lines(path, {"step": COUNT, "loss?": float, "dev?": {...: float}})
    return lines


def dev_metrics(logs: Iterable[list[dict[str, Any]]]) -> list[str]:
    """Return the metrics on the development split that the logs have."""
    return list(dict.fromkeys(key for log in logs for line in log for key in line.get("dev", {})))


def dev_points(log: list[dict[str, Any]], metric: str) -> list[tuple[float, float]]:
    """Return the steps at which a log has a metric on the development split, with its values."""
    return [(line["step"], line["dev"][metric]) for line in log if metric in line.get("dev", {})]
