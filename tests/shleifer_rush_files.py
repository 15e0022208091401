"""A small study of Shleifer & Rush, made up: models, scores with replicates, curves with records, deployments."""

from pathlib import Path
from typing import Any

import numpy as np
from deployment_files import MACHINE, quartiles, runtime_entry, write_deployment
from fdistill.artifacts.files import write_json, write_json_lines
from fdistill.artifacts.manifest import write_manifest
from fdistill.evaluation.replicates import write_replicates
from fdistill.evaluation.tables.shleifer_rush.scores import Folders
from report_files import write_record

TASKS = {"xsum": "XSum", "mine": "Mine"}
TITLES = {"teacher": "Teacher", "sft": "SFT", "kd": "KD", "pl": "PL", "orig_pl": "Orig+PL", "orig_pl_pl": "Orig+PL+PL"}
TITLES |= {f"{key}-{size}": f"{TITLES[key]}, {size}" for key in ("sft", "pl", "kd") for size in ("12-1", "high")}
TEACHER = 22.0
SCORES = {"sft": 21.0, "kd": 21.5, "pl": 20.0, "orig_pl": 21.25, "sft-12-1": 18.0, "pl-12-1": 19.0}
SECONDS = {"sft": 3600.0, "kd": 7200.0, "pl": 1800.0, "sft-12-1": 900.0, "pl-12-1": 450.0}
LABELLING = 5400.0  # seconds of the teacher's beam search
LOSSES = {"sft": 2.5, "sft-high": 2.625, "sft-pt": 2.75, "sft-rand": 3.0}
STARTS: dict[str | None, dict[str, Any]] = {
    None: {"encoder": 12, "decoder": 3},
    "12-1": {"encoder": 12, "decoder": 1},
    "high": {"encoder": 12, "decoder": {"layers": 3, "choose": "high"}},
    "pt": {"encoder": 12, "decoder": {"layers": 3, "from": "pretrained"}},
    "rand": {"encoder": 12, "decoder": {"layers": 3, "choose": "random"}},
}
NOISE = np.random.default_rng(0).normal(size=(2, 1000))  # of the teacher, and of what a student has beside it


def write_folders(folder: Path, task: str, sizes=(None, "12-1")) -> Folders:
    """Write the folders of a teacher of BART's shape and of its untrained students, with what is read of them."""
    teacher, starts = folder / task / "teacher/seed1/model", {}
    lineage = {"data": f"data of {task}", "task": task}
    write_json(teacher / "config.json", {"model_type": "bart", "encoder_layers": 12, "decoder_layers": 12})
    write_manifest(teacher, {"lineage": lineage | {"method": "teacher"}})
    for size in sizes:
        name = "init_student" if size is None else f"init_student-{size}"
        starts[size] = folder / task / name / "model"
        starts[size].mkdir(parents=True)
        write_manifest(starts[size], {"layers": STARTS[size], "lineage": lineage | {"method": name}})
    return Folders(teacher, starts)


def write_metrics(folder: Path, task: str, system: str, score: float | None, seeds: int = 1, **changes: Any) -> Path:
    """Write a `metrics.json` and its replicates: a student's are the teacher's, which differ by 1, and half of others.

    The paired differences of students and their teacher have a standard deviation of 0.5.
    """
    noise = NOISE[0] + (0 if system == "teacher" else 0.5 * NOISE[1])
    values = (
        [] if score is None else [score + shift for shift in np.linspace(-0.5, 0.5, seeds)] if seeds > 1 else [score]
    )
    replicates = [(value + noise).tolist() for value in values]
    interval = np.quantile(replicates[0], [0.025, 0.975]).tolist() if seeds == 1 and values else None
    missing = None if values else {"reason": "no Java", "fix": "install Java"}
    by_seed = dict(zip(map(str, range(1, seeds + 1)), values or [None] * seeds, strict=True))
    entry = {"title": "ROUGE-2", "direction": "higher", "mean": score, "std": None, "interval": interval}
    entry |= {"seeds": by_seed, "signature": "s", "missing": missing} | changes
    place = {"task": task, "method": system}
    path = folder / task / system / "metrics.json"
    lineage = {"data": f"data of {task}", **place}
    write_json(path, {**place, "n_inputs": 400, "metrics": {"rouge2": entry}, "versions": {}, "lineage": lineage})
    write_replicates(path, {"rouge2": replicates or None}, lineage)
    return path


def write_curve(folder: Path, task: str, system: str, loss: float, seconds: float = 60.0, seed: int = 1) -> Path:
    """Write a `train.jsonl` whose lowest loss is in the middle, and the record of its job, which may need labels."""
    path = folder / task / system / f"seed{seed}/train.jsonl"
    losses = {0: loss - 1, 10: loss + 1, 20: loss, 30: loss + 0.5}  # step 0 is no training
    lines = [{"step": step, "dev": {"nll": value, "rouge2": 1.0}} for step, value in losses.items()]
    lineage = {"data": f"data of {task}", "task": task, "method": system, "seed": str(seed)}
    write_json_lines(path, lines, {"lineage": lineage})
    write_record(path, "distill", seconds, [labels(folder, task)] if system.startswith("pl") else [])
    return path


def labels(folder: Path, task: str) -> Path:
    """The pseudo-labels of a task, with the record of the job that made them."""
    path = folder / task / "sample_teacher/train.teacher_beam.parquet"
    if not path.exists():
        path.parent.mkdir(parents=True)
        path.write_bytes(b"labels")
        write_record(path, "sample_teacher", LABELLING, [])
    return path


def write_speed(folder: Path, task: str, system: str, speedup: float) -> Path:
    """Write a `deployment.json` of a model that answers `speedup` times as many inputs as its teacher's 20 a second."""
    entry = runtime_entry("transformers", 100.0, 20.0, 20.0)
    entry |= {
        "inputs_per_s": quartiles(20 * speedup),
        "speedup": dict.fromkeys(("latency", "throughput"), quartiles(speedup)),
    }
    missing = {"missing": {"reason": "r", "fix": "f"}}
    written = write_deployment(
        folder,
        "teacher",  # for the entries that are replaced
        task,
        method=system,
        runtimes={"transformers": entry, "ctranslate2_float32": missing, "ctranslate2_int8": missing},
        parameters={"all": 255_000_000, "without_embeddings": 200_000_000},
        machine=MACHINE,
        lineage={"data": f"data of {task}", "task": task, "method": system},
    )
    return written.rename(folder / f"{task}.{system}.deployment.json")


def write_methods(folder: Path) -> tuple[list[Path], dict[str, list[tuple[str, Path]]], dict[str, Folders]]:
    """Write what Table 5 is made of: two tasks, two sizes, without KD in the smaller one."""
    metrics, logs, folders = [], {}, {}
    for task in TASKS:
        folders[task] = write_folders(folder, task)
        metrics += [write_metrics(folder, task, "teacher", TEACHER)]
        metrics += [write_metrics(folder, task, system, SCORES[system]) for system in SECONDS]
        logs[task] = [(system, write_curve(folder, task, system, 2.0, time)) for system, time in SECONDS.items()]
    return metrics, logs, folders


def write_speeds(folder: Path) -> tuple[list[Path], list[Path], dict[str, Folders]]:
    """Write what Tables 6 and 7 are made of."""
    speeds = {"teacher": 1.0, "sft": 2.0, "sft-12-1": 2.5}
    scores = {"teacher": TEACHER, **SCORES}
    metrics = [write_metrics(folder, "xsum", system, scores[system]) for system in speeds]
    deployments = [write_speed(folder, "xsum", system, speed) for system, speed in speeds.items()]
    return metrics, deployments, {"xsum": write_folders(folder, "xsum")}


def write_starts(folder: Path, seeds: int = 2) -> tuple[dict[str, list[tuple[str, Path]]], dict[str, Folders]]:
    """Write what Tables 8 and 9 are made of; the seeds' losses are 0.5 apart."""
    logs = [
        (system, write_curve(folder, "xsum", system, loss + 0.5 * (seed - 1), seed=seed))
        for system, loss in LOSSES.items()
        for seed in range(1, seeds + 1)
    ]
    return {"xsum": logs}, {"xsum": write_folders(folder, "xsum", [None, "high", "pt", "rand"])}


def write_mixtures(folder: Path, seeds: int = 1) -> tuple[list[Path], dict[str, Folders]]:
    """Write what Table 10 is made of: one size, without another teacher's labels."""
    metrics = [write_metrics(folder, "xsum", "teacher", TEACHER)]
    metrics += [write_metrics(folder, "xsum", system, SCORES[system], seeds) for system in ("sft", "pl", "orig_pl")]
    return metrics, {"xsum": write_folders(folder, "xsum", [None])}
