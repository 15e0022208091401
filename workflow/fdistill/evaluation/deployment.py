"""What a model costs in use: the files of rule `deployment`, and which models no other one beats."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.shapes import COUNT, INTERVAL, Ascending, AtLeast
from fdistill.evaluation.aggregate import first_measured
from fdistill.runtime.errors import UserError

# A model is measured by each runtime: transformers, and CTranslate2 with weights of two kinds.
FULL, FLOAT32, INT8 = "transformers", "ctranslate2_float32", "ctranslate2_int8"
RUNTIMES = {FULL: "transformers", FLOAT32: "CTranslate2", INT8: "CTranslate2, int8"}

# What is read of a deployment.json, as `artifacts.shapes` describes it.
QUARTILES = Ascending(dict.fromkeys(("q1", "median", "q3"), AtLeast(float, is_open=True)))
_REASON = {"reason": str, "fix": str}
_SCORE = {
    "title": str,
    "direction": ("higher", "lower"),
    "value": (float, None),
    "interval": (INTERVAL, None),
    "difference": ({"value": float, "interval": INTERVAL}, None),
    "missing": (_REASON, None),
}
_MEASURED = {
    "missing?": _REASON,
    "differs?": [str],
    "weights_bytes": COUNT,
    **dict.fromkeys(("latency_ms", "inputs_per_s", "tokens_per_s"), QUARTILES),
    "output_tokens": AtLeast(float),
    "speedup": {"latency": QUARTILES, "throughput": QUARTILES},
    "memory": {"bytes": COUNT, "measure": str},
    "scores": {...: _SCORE},
}
DEPLOYMENT_FILE = {
    "task": str,
    "method": str,
    "seed": COUNT,
    "parameters": {"all": COUNT, "without_embeddings": COUNT},
    "runtimes": dict.fromkeys(RUNTIMES, (_MEASURED, {"missing": _REASON})),
    "reference": {"latency_ms": QUARTILES, "inputs_per_s": QUARTILES, "is_teacher?": bool},  # or the model itself
    "conditions": {"latency_inputs": COUNT, "batches": COUNT, "batch_size": COUNT, "test_inputs": COUNT},
    "decoding": dict,
    "machine": {"name": str, "device": str, "threads": COUNT, "cpus": (COUNT, None), "versions": dict},
    "other_cpus": (AtLeast(float), None),
}


def read_deployments(paths: Sequence[Path]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the contents of deployment.json files by (task, system).

    Raises UserError for a second file of a system, for files of one task that are of different data, teachers, inputs
    or decoding, and for files of different machines, threads or package versions: their times cannot be compared.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    first: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in paths:
        file = read_json(path, DEPLOYMENT_FILE)
        task, system = file["task"], file["method"]
        if (task, system) in found:
            raise UserError(f"{path}: a second file of '{system}' of task '{task}'; give one")
        found[task, system] = file
        _check_same(path, file, *first.setdefault("", (path, file)), _machine)
        _check_same(path, file, *first.setdefault(task, (path, file)), _conditions)
    for task in {task for task, _ in found}:
        of_task = [path for path, (of, _) in zip(paths, found, strict=True) if of == task]
        common_lineage(*of_task, seeds_differ=True)
    return found


def _machine(file: dict[str, Any]) -> dict[str, Any]:
    machine = file["machine"]
    installed = {f"version of {name}": machine["versions"].get(name) for name in ("torch", "transformers")}
    return {f"machine's {key}": machine[key] for key in ("name", "device", "threads", "cpus")} | installed


def _conditions(file: dict[str, Any]) -> dict[str, Any]:
    return {"number of inputs": file["conditions"], "decoding": file["decoding"]}


def _check_same(
    path: Path,
    file: dict[str, Any],
    other_path: Path,
    other: dict[str, Any],
    of: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    theirs = of(other)
    for name, value in of(file).items():
        if value != theirs[name]:
            raise UserError(
                f"{path}: was measured with another {name} than {other_path} ({value}, not {theirs[name]}), so that "
                "times cannot be compared; delete the older one and run again on one machine"
            )


def main_metric(files: Iterable[dict[str, Any]]) -> str | None:
    """Return the metric that all models and runtimes of a task are compared by, as `aggregate.main_metric` does."""
    runtimes = [found for file in files for found in file["runtimes"].values() if "missing" not in found]
    return first_measured([{key: score["value"] for key, score in found["scores"].items()} for found in runtimes])


def inverse(quartiles: Mapping[str, float]) -> dict[str, float]:
    """Return the median and the quartiles of 1/x from those of x: of times from speeds, of shares from speed-ups."""
    return {name: 1 / quartiles[other] for name, other in (("median", "median"), ("q1", "q3"), ("q3", "q1"))}


def pareto_front(points: Mapping[Any, tuple[float, float]], direction: str) -> list[Any]:
    """Return the keys of the points (latency, score) that no other point beats, by latency.

    A point beats another if it is at least as fast and at least as good, and one of the two strictly; `direction` says
    whether the higher or the lower score is the better one.
    """
    sign = 1 if direction == "higher" else -1

    def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
        return one[0] <= other[0] and sign * one[1] >= sign * other[1] and one != other

    front = [key for key, point in points.items() if not any(beats(other, point) for other in points.values())]
    return sorted(front, key=lambda key: points[key])
