"""What it took to train each student, from the records that jobs wrote beside their outputs."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from fdistill.artifacts.records import place_now, record_of_job
from fdistill.artifacts.shapes import COUNT, AtLeast

# What is read of a record besides its outputs, as `artifacts.shapes` describes it.
SHAPE = {
    "stage": str,
    "inputs": {...: str},
    "wall_seconds": AtLeast(float),
    "gpu_hours": AtLeast(float),
    "hardware": {"cpu": str, "cpus": (COUNT, None), "gpus": [str]},
}
SHARED = ("prepare", "finetune_teacher")  # stages that every student of a task needs
Record = dict[str, Any]


@dataclass(frozen=True)
class Cost:
    """The cost of a student, as means over its seeds, and the machines that its jobs ran on.

    `training` is the wall time of its own training in seconds, `before` that of the jobs that the training needs: the
    student that it starts from, and the teacher's sequences. `gpu_hours` are those of both.
    """

    training: float
    before: float
    gpu_hours: float
    machines: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Return the wall time of the training and of the jobs that it needs."""
        return self.training + self.before


def student_costs(logs: list[tuple[str, Path]]) -> dict[str, Cost]:
    """Return the cost of each student from (system, `train.jsonl`) pairs, one per seed.

    The times of a job are those of all its attempts. The data and the teacher, which all students of a task share, are
    not counted, nor is a file that the user made. A student is left out if its training has no record, or a file that
    it needed is neither where its results lie nor recorded there. Raises UserError for a record of another shape.
    """
    runs: dict[str, list[list[Record] | None]] = {}
    for system, path in logs:
        found: dict[str, Record] = {}
        runs.setdefault(system, []).append(list(found.values()) if _find_jobs(path, found) else None)
    return {system: _cost(jobs) for system, jobs in runs.items() if all(jobs)}


def _find_jobs(path: Path, found: dict[str, Record]) -> bool:
    """Add the records of the job that wrote the file and of the jobs that it needed; return whether none is lost."""
    record = record_of_job(path, SHAPE)
    if record is None:
        return path.exists()
    if record["stage"] in SHARED or min(record["outputs"]) in found:
        return True
    found[min(record["outputs"])] = record
    return all([_find_jobs(place_now(needed, record, path), found) for needed in record["inputs"]])


def _cost(runs: list[list[Record]]) -> Cost:
    machines = dict.fromkeys(_machine(**job["hardware"]) for jobs in runs for job in jobs)
    return Cost(
        training=fmean(jobs[0]["wall_seconds"] for jobs in runs),
        before=fmean(sum(job["wall_seconds"] for job in jobs[1:]) for jobs in runs),
        gpu_hours=fmean(sum(job["gpu_hours"] for job in jobs) for jobs in runs),
        machines=tuple(machines),
    )


def _machine(cpu: str, cpus: int | None, gpus: list[str]) -> str:
    """The processor and the GPUs of a record, as `Xeon, 2 CPUs, 1 x A100`."""
    names = f"{len(gpus)} x {', '.join(dict.fromkeys(gpus))}" if gpus else "no GPU"
    return f"{cpu}, {cpus or 'unknown'} CPUs, {names}"
