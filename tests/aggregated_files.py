"""Aggregated files of results, with their replicates: of each mean the same number, so that no difference is chance."""

from pathlib import Path
from typing import Any

from fdistill.artifacts.files import write_json
from fdistill.evaluation.replicates import write_replicates

REPLICATES = 1000


def write_aggregated(path: Path, content: dict[str, Any]) -> Path:
    """Write a `metrics.json` or aggregated `risk.json`, and its replicates beside it."""
    entries = content["metrics"] if "metrics" in content else content["risks"]
    write_json(path, content)
    means = {key: entry["mean"] for key, entry in entries.items()}
    write_replicates(path, {key: None if mean is None else [mean] * REPLICATES for key, mean in means.items()}, {})
    return path
