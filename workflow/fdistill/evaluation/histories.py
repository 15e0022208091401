"""Training curves: what `train.jsonl` says of a training, step by step."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_json_lines
from fdistill.artifacts.shapes import COUNT

LOSS = "nll"  # on the development split: the mean over its references, per token, in nats


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
