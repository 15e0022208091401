"""Aggregated files of results, with their replicates: of each mean the same number, so that no difference is chance."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_json, write_json
from fdistill.evaluation import tables
from fdistill.evaluation.comparisons import compare_task
from fdistill.evaluation.replicates import write_replicates
from fdistill.evaluation.tables.table import Table

REPLICATES = 1000


def write_aggregated(path: Path, content: dict[str, Any]) -> Path:
    """Write a `metrics.json` or aggregated `risk.json`, and its replicates beside it."""
    entries = content["metrics"] if "metrics" in content else content["risks"]
    write_json(path, content)
    means = {key: entry["mean"] for key, entry in entries.items()}
    seeds = {key: len(entry["seeds"]) for key, entry in entries.items()}
    alike = {key: None if mean is None else [[mean] * REPLICATES] * seeds[key] for key, mean in means.items()}
    write_replicates(path, alike, {})
    return path


def main_table(paths: list[Path], *arguments: Any) -> Table:
    """The main table of `metrics.json` files, from comparisons that are made first."""
    return tables.main_table(paths, write_comparisons(paths, _students(arguments)), *arguments)


def risk_table(paths: list[Path], *arguments: Any) -> Table:
    """The risk table of aggregated `risk.json` files, from comparisons that are made first."""
    return tables.risk_table(paths, write_comparisons(paths, _students(arguments)), *arguments)


def _students(arguments: tuple) -> list[str]:
    return [system for section in arguments[1] if section.ranked for system in section.systems]


def write_comparisons(paths: Iterable[Path], students: Iterable[str]) -> list[Path]:
    """Compare the students in `metrics.json` or aggregated `risk.json` files; write a file per task beside them."""
    by_task: dict[str, dict[str, list[Path]]] = {}
    for path in dict.fromkeys(paths):
        content = read_json(path)
        if content["method"] in (*students, "teacher"):
            kind = "metrics" if "metrics" in content else "risks"
            by_task.setdefault(content["task"], {"metrics": [], "risks": []})[kind].append(path)
    written = []
    for task, files in by_task.items():
        there = {read_json(path)["method"] for of_kind in files.values() for path in of_kind}
        written.append(path.parent / f"{task}.comparisons.json")
        write_json(written[-1], compare_task(**files, students=[name for name in students if name in there], task=task))
    return written
