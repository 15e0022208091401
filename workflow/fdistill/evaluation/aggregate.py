"""Aggregates the files of a system's seeds into one: means, standard deviations, intervals, and what is missing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from fdistill.artifacts.files import check_shape, read_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.shapes import COUNT, INTERVAL, AtLeast, Shape
from fdistill.evaluation.replicates import Replicates, read_replicates
from fdistill.evaluation.resampling import interval
from fdistill.runtime.errors import UserError

_MISSING = ({"reason": str, "fix": str}, None)
_SCORE = {
    "title": str,
    "direction": ("higher", "lower"),
    "value": (float, None),
    "signature": (str, None),
    "missing": _MISSING,
}
TEACHER_DIST = "teacher_dist"  # of the teacher's samples, so the same for every system of a task
RISKS = ("r_llh_token", "r_llh_sequence", "r_cvg_token", "r_cvg_sequence", TEACHER_DIST)
RISK_TITLES = {  # of a system's risks, in the order of the tables
    "r_llh_token": "R_llh/token",
    "r_cvg_token": "R_cvg/token",
    "r_llh_sequence": "R_llh/seq.",
    "r_cvg_sequence": "R_cvg/seq.",
}


# The entries of aggregated files, and those files, as `artifacts.shapes` describes them.
ENTRY = {
    "mean": (float, None),
    "std": (AtLeast(float), None),
    "interval": (INTERVAL, None),
    "seeds": {...: (float, None)},
}
METRICS_FILE = {
    "task": str,
    "method": str,
    "n_inputs": COUNT,
    "metrics": {...: ENTRY | {key: _SCORE[key] for key in ("title", "direction", "signature", "missing")}},
}
RISKS_FILE = {
    "task": str,
    "method": str,
    "n_inputs": COUNT,
    "risks": dict.fromkeys(RISKS, ENTRY | {"missing?": _MISSING}),
}
_FILES = {"metrics": METRICS_FILE, "risks": RISKS_FILE}


def read_aggregated(path: Path, kind: str) -> dict[str, Any]:
    """Read the `metrics.json` (`kind` "metrics") or aggregated `risk.json` ("risks") of a system.

    Raises UserError also for a file of the other kind, and for that of a single seed.
    """
    file = read_json(path)
    for other in _FILES.keys() - {kind}:
        if other in file and kind not in file:
            raise UserError(f"{path}: has {other}, not {kind}; give it with --{other}")
    if "seed" in file:
        raise UserError(f"{path}: is of one seed; give the system's file of all seeds, which metrics.py makes of it")
    check_shape(path, file, _FILES[kind])
    return file


def aggregate_scores(
    paths: list[Path], expected: list[int] | None = None, task: str | None = None, method: str | None = None
) -> tuple[dict[str, Any], Replicates]:
    """Aggregate the `score.json` files of one system's seeds, which must be among `expected` if that is given.

    The files must say `task` and `method`, if these are given; beside each are its replicates.

    Returns `{"task", "method", "n_inputs", "metrics": {key: {"title", "direction", "mean", "std", "interval", "seeds",
    "signature", "missing"}}, "versions", "lineage"}`, and the replicates by seed. `std` is the sample standard
    deviation over seeds, None with one; `interval` the 95 % interval [low, high] over inputs and seeds. A metric that
    is missing for any seed has mean, std and interval None: a mean over fewer seeds would look like one over all.
    Raises UserError when the files belong to different systems, or their signatures differ.
    """
    seeds, result = _read(paths, {"metrics": {...: _SCORE}, "versions": {...: str}}, expected, task, method)
    replicates = _replicates(seeds)
    metrics = {}
    for key, first in _same_keys(seeds, "metrics").items():
        entries = {seed: file["metrics"][key] for seed, file in seeds.items()}
        missing = {seed: entry["missing"] for seed, entry in entries.items() if entry["missing"]}
        present = {seed: entry for seed, entry in entries.items() if seed not in missing}
        signatures = {entry["signature"]: seed for seed, entry in present.items()}
        if len(signatures) > 1:
            listed = "; ".join(f"seed {seed}: {signature}" for signature, seed in signatures.items())
            raise UserError(
                f"{result['task']}/{result['method']}: metric '{key}' was computed in different ways for its seeds "
                f"({listed}); delete the older score files and run again"
            )
        metrics[key] = {
            "title": first["title"],
            "direction": first["direction"],
            **_summary({seed: entries[seed]["value"] for seed in entries}, replicates.get(key)),
            "signature": next(iter(signatures), None),
            "missing": _missing(missing, len(seeds)),
        }
    return result | {"metrics": metrics, "versions": _versions(seeds)}, replicates


def aggregate_risks(
    paths: list[Path], expected: list[int] | None = None, task: str | None = None, method: str | None = None
) -> tuple[dict[str, Any], Replicates]:
    """Aggregate the `risk.json` files of one system's seeds; arguments and errors as for `aggregate_scores`.

    Returns `{"task", "method", "n_inputs", "risks": {key: {"mean", "std", "interval", "seeds"}}, "lineage"}` with the
    keys of `RISKS`, and the replicates by seed. A value that is null in a seed's file has mean, std and interval
    None, and `missing` with the reason if the file gives one.
    """
    shape = dict.fromkeys(RISKS, (float, None)) | {"missing?": {...: _MISSING}}
    seeds, result = _read(paths, shape, expected, task, method)
    replicates = _replicates(seeds)
    risks = {}
    for key in RISKS:
        risks[key] = _summary({seed: seeds[seed][key] for seed in seeds}, replicates.get(key))
        reasons = {seed: file["missing"][key] for seed, file in seeds.items() if key in file.get("missing", {})}
        if reasons:
            risks[key]["missing"] = _missing(reasons, len(seeds))
    return result | {"risks": risks}, replicates


def main_metric(files: list[dict[str, Any]]) -> str | None:
    """Return the metric that matters most in a task, from the contents of its `metrics.json` files."""
    return first_measured([{key: entry["mean"] for key, entry in file["metrics"].items()} for file in files])


def first_measured(tables: Sequence[Mapping[str, float | None]]) -> str | None:
    """Return the first metric of the first table, which has them in the task's order, that any table has a value of."""
    keys = tables[0] if tables else ()
    return next((key for key in keys if any(table.get(key) is not None for table in tables)), None)


def _replicates(seeds: dict[str, dict]) -> Replicates:
    """The replicates of each metric or risk that every seed has, by seed."""
    by_seed = [file["replicates"] for file in seeds.values()]
    keys = [key for key in by_seed[0] if all(key in replicates for replicates in by_seed)]
    return {key: [values for replicates in by_seed for values in replicates[key]] for key in keys}


def _summary(values: dict[str, float | None], replicates: list[list[float]] | None) -> dict[str, Any]:
    numbers = list(values.values())
    complete = None not in numbers
    return {
        "mean": fmean(numbers) if complete else None,
        "std": stdev(numbers) if complete and len(numbers) > 1 else None,
        "interval": None if replicates is None else interval(numbers, replicates),
        "seeds": values,
    }


def _missing(missing: dict[str, dict], n_seeds: int) -> dict[str, str] | None:
    if not missing:
        return None
    first = next(iter(missing.values()))
    where = "" if len(missing) == n_seeds else f" (seeds {', '.join(missing)} of {n_seeds})"
    return {"reason": first["reason"] + where, "fix": first["fix"]}


def _read(
    paths: list[Path],
    shape: dict[str, Shape],
    expected: list[int] | None,
    task: str | None,
    method: str | None,
) -> tuple[dict[str, dict], dict[str, Any]]:
    """The files by seed (as text, in numerical order) with their `replicates`, and the fields in common."""
    fields_in_common = {"task": str, "method": str, "n_inputs": COUNT}
    wanted = {field: value for field, value in (("task", task), ("method", method)) if value is not None}
    files = {}
    for path in paths:
        file = read_json(path, fields_in_common | {"seed": int} | shape)
        for field, value in wanted.items():
            if file[field] != value:
                raise UserError(
                    f"{path}: belongs to {field} '{file[field]}', not to '{value}'; give that one's file, or, "
                    "if it lies in that one's place, delete it and run again"
                )
        if str(file["seed"]) in files:
            raise UserError(f"{path}: seed {file['seed']} is given twice; give one file per seed")
        if expected is not None and file["seed"] not in expected:
            raise UserError(
                f"{path}: belongs to seed {file['seed']}, not to {', '.join(map(str, expected))}; give "
                "that one's file, or, if it lies in that one's place, delete it and run again"
            )
        files[str(file["seed"])] = file | {"replicates": read_replicates(path)}
    if missing := [str(seed) for seed in expected or [] if str(seed) not in files]:
        raise UserError(f"{paths[0]}: there is no file of seed {', '.join(missing)} beside it; give one per seed")
    first = next(iter(files.values()))
    for seed, file in files.items():
        for field in fields_in_common:
            if file[field] != first[field]:
                raise UserError(
                    f"seeds {first['seed']} and {seed} do not belong together: {field} is '{first[field]}' "
                    f"and '{file[field]}'; give the files of one system on one test split"
                )
    shared = {field: first[field] for field in fields_in_common}
    place = {"task": first["task"], "method": first["method"]}
    shared["lineage"] = common_lineage(*paths, seeds_differ=True, **place)
    return dict(sorted(files.items(), key=lambda item: int(item[0]))), shared


def _same_keys(seeds: dict[str, dict], field: str) -> dict[str, dict]:
    first = next(iter(seeds.values()))
    for seed, file in seeds.items():
        if list(file[field]) != list(first[field]):
            raise UserError(
                f"{first['task']}/{first['method']}: seed {seed} has the metrics {', '.join(file[field])}, "
                f"seed {first['seed']} has {', '.join(first[field])}; delete the older score file and run again"
            )
    return first[field]


def _versions(seeds: dict[str, dict]) -> dict[str, str]:
    """The version of each package; all of them if the seeds ran with several."""
    merged: dict[str, list[str]] = {}
    for file in seeds.values():
        for package, version in file["versions"].items():
            versions = merged.setdefault(package, [])
            if version not in versions:
                versions.append(version)
    return {package: ", ".join(versions) for package, versions in merged.items()}
