"""A small study's results, made up, from which the report is built."""

from pathlib import Path
from typing import Any

import numpy as np
from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.files import sha256, write_json, write_json_lines, write_parquet
from fdistill.artifacts.records import record_of, record_text
from fdistill.config.claim_checks import KEYS
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation import figures
from fdistill.evaluation.aggregate import RISKS
from fdistill.evaluation.claims import decide_claims
from fdistill.evaluation.comparisons import compare_task
from fdistill.evaluation.replicates import write_replicates
from fdistill.evaluation.report import Files, Study
from fdistill.evaluation.resampling import interval
from fdistill.evaluation.tables import sections
from fdistill.evaluation.texts import Texts

STUDENTS = {"mle": "Non-distill (MLE)", "kl": "KL", "js": "JS (exact)", "engine": "ENGINE"}
SYSTEMS = {"teacher": "Teacher", "copy": "Copy of the source", **STUDENTS}
BLEU = {"teacher": 40.0, "copy": 5.0, "mle": 20.0, "kl": 30.0, "js": 29.8, "engine": 25.0}
LIKELIHOOD = {"teacher": 2.0, "mle": 4.0, "kl": 3.0, "js": 2.9, "engine": 1.0}  # ENGINE's is below the teacher's
COVERAGE = {"teacher": 2.0, "mle": 2.6, "kl": 2.3, "js": 2.4, "engine": 4.0}
MISSING = {"reason": "no Java", "fix": "install Java"}
NOISE = 0.2  # standard deviation of a metric over samples of inputs


def entry(system: str, value: float | None, seeds: int) -> tuple[dict[str, Any], list[list[float]] | None]:
    """An entry of an aggregated file, and its replicates by seed; the values of a system's seeds differ a little."""
    if value is None:
        return {
            "mean": None,
            "std": None,
            "interval": None,
            "seeds": dict.fromkeys(map(str, range(1, seeds + 1))),
        }, None
    values = [value + 0.1 * (seed - (seeds + 1) / 2) for seed in range(1, seeds + 1)]
    noise = np.random.default_rng(list(SYSTEMS).index(system)).normal(size=1000)
    replicates = [(number + NOISE * (noise - noise.mean())).tolist() for number in values]
    std = float(np.std(values, ddof=1)) if seeds > 1 else None
    by_seed = {str(seed): number for seed, number in enumerate(values, start=1)}
    return {"mean": value, "std": std, "interval": interval(values, replicates), "seeds": by_seed}, replicates


def write_results(path: Path, field: str, place: dict[str, str], entries: dict[str, tuple]) -> Path:
    """Write a metrics.json or risk.json with its replicates."""
    content = {key: value for key, (value, _) in entries.items()}
    write_json(path, {**place, "n_inputs": 3, field: content, "versions": {}, "lineage": place})
    write_replicates(path, {key: replicates for key, (_, replicates) in entries.items()}, place)
    return path


def write_metrics(folder: Path, task: str, system: str, values: dict[str, float | None], seeds: int) -> Path:
    """Write the metrics.json of a system; a metric without a value has a reason."""
    described = {"bleu4": ("BLEU-4", "higher"), "ter": ("TER", "lower"), "meteor": ("METEOR", "higher")}
    entries = {}
    for key, value in values.items():
        found, replicates = entry(system, value, seeds)
        title, direction = described[key]
        more = {"signature": None if value is None else "s", "missing": MISSING if value is None else None}
        entries[key] = ({"title": title, "direction": direction, **found, **more}, replicates)
    return write_results(folder / "metrics.json", "metrics", {"task": task, "method": system}, entries)


def write_risks(folder: Path, task: str, system: str, seeds: int) -> Path:
    """Write the aggregated risk.json of a system."""
    values = {"r_llh_token": LIKELIHOOD[system], "r_llh_sequence": 10 * LIKELIHOOD[system]}
    values |= {"r_cvg_token": COVERAGE[system], "r_cvg_sequence": 10 * COVERAGE[system], "teacher_dist": 50.0}
    entries = {key: entry(system, values[key], seeds) for key in RISKS}
    entries["teacher_dist"][0]["seeds"] = dict.fromkeys(entries["teacher_dist"][0]["seeds"], 50.0)  # one teacher's
    return write_results(folder / "risk.json", "risks", {"task": task, "method": system}, entries)


def write_training(folder: Path, task: str, system: str, seconds: float, needs: list[Path], seed: int = 1) -> Path:
    """Write a train.jsonl, and the record of the job that wrote it and needed other jobs' files."""
    path = folder / f"seed{seed}" / "train.jsonl"
    lines = [{"step": step, "loss": 2.0 / step} for step in (1, 2, 4, 8)] + [{"step": 8, "dev": {"nll": 1.0}}]
    write_json_lines(path, lines, {"lineage": {"task": task, "method": system, "seed": str(seed)}})
    write_record(path, "distill", seconds, needs)
    return path


def write_record(path: Path, stage: str, seconds: float, needs: list[Path]) -> None:
    """Write the record of the job that wrote `path`."""
    content = {
        "stage": stage,
        "inputs": {str(needed): sha256(needed) for needed in needs},
        "outputs": {str(path): sha256(path)},
        "code": {"commit": "c0ffee", "dirty": False},
        "packages": {"python": "3.11", "torch": "2.13"},
        "hardware": {"cpu": "Xeon", "cpus": 2, "gpus": []},
        "wall_seconds": seconds,
        "gpu_hours": 0.0,
    }
    record_of(path).write_text(record_text(content))


def write_task(folder: Path, task: str, bleu: dict[str, float | None], seeds: int, outputs: dict[str, str]) -> None:
    """Write the results of a task; `bleu` has its systems, `outputs` what each of them says to every input."""
    students = [system for system in bleu if system in STUDENTS]
    ids = ["1", "2", "3"]
    place = {"task": task}
    references = [["a list of names", "names"]] * 3
    split = {"id": ids, "group": ids, "source": ["names : type : list"] * 3, "references": references}
    write_parquet(folder / task / "prepare/test.parquet", split, SPLIT, {"lineage": place})
    write_json(folder / task / "prepare/manifest.json", MANIFEST | {"lineage": place})
    teacher = write_training(folder / task / "teacher", task, "teacher", 900, [])
    write_record(teacher, "finetune_teacher", 900, [])
    metrics, risks, logs = [], [], []
    for system, value in bleu.items():
        n = seeds if system in STUDENTS else 1
        of_system = folder / task / system
        ter = None if value is None else 100 - value
        path = write_metrics(of_system, task, system, {"bleu4": value, "ter": ter, "meteor": None}, n)
        write_record(path, "metrics", 1, [])
        if system == "copy":
            continue
        metrics.append(path)
        risks.append(write_risks(of_system, task, system, n))
        rows = {
            "id": ids,
            "hypothesis": [outputs.get(system, "a list")] * 3,
            "n_tokens": [3] * 3,
            "finished": [True] * 3,
        }
        identity = {"lineage": {"task": task, "method": system, "seed": "1"}}
        write_parquet(of_system / "seed1/generate.parquet", rows, GENERATIONS, identity)
    for system in students:
        for seed in range(1, seeds + 1):
            needs = [teacher] if system == students[0] else [teacher, logs[0][1]]
            logs.append((system, write_training(folder / task / system, task, system, 10.0, needs, seed)))
    write_json(folder / f"comparisons/{task}.json", compare_task(metrics, risks, students, task))
    for kind in ("risk", "curves", "cost"):
        write_text(folder / f"figures/{task}.{kind}.svg", "<svg/>")


def draw_figures(files: Files, settings: Study) -> None:
    """Draw the figures of a study, in the place of the empty ones."""
    for task, title in settings.tasks.items():
        risks, metrics = ([path for (of, _), path in by.items() if of == task] for by in (files.risks, files.metrics))
        logs = [(system, path) for of, system, path in files.logs if of == task]
        figures.risk_scatter(risks, settings.systems, title, files.figures[task, "risk"])
        figures.training_curves(logs, settings.systems, title, files.figures[task, "curves"])
        figures.cost_scatter(metrics, logs, settings.systems, title, files.figures[task, "cost"])


MANIFEST = {
    "source": {"kind": "botocore"},
    "archives": [{"package": "botocore", "version": "1.0", "licence": "Apache-2.0"}],
    "splits": {"train": 1000, "dev": 100, "test": 3},
    "references": {"dev": 100, "test": 6},
    "leakage": {split: {"groups": 0.0, "sources": 0.125, "targets": 0.5, "ngrams": 0.1} for split in ("dev", "test")},
    "split_rule": "by service",
}


CLAIMS = {
    "distilling": {"text": "KL is better than <MLE>.", "better": ["kl"], "than": ["mle"], "metrics": ["bleu4", "ter"]},
    "symmetric": {"text": "JS beats KL.", "better": ["js"], "than": ["kl"], "metrics": ["bleu4"]},
    "worse": {"text": "JS is worse.", "better": ["js"], "than": ["mle"], "metrics": ["bleu4"], "at_most": -1},
    "speed": {"text": "KL is fast.", "missing": {"reason": "no time was measured", "fix": "run it here"}},
}
CLAIMS = {name: dict.fromkeys(KEYS) | {"source": "Wen et al. 2023"} | claim for name, claim in CLAIMS.items()}


def study(
    folder: Path,
    bleu: dict[str, float | None] = BLEU,
    *,
    tasks: dict[str, str] | None = None,
    seeds: int = 1,
    outputs: dict[str, str] | None = None,
    titles: dict[str, str] | None = None,
) -> tuple[Files, Study]:
    """Write a study's results to `folder`; return what the report is built from."""
    tasks, systems = tasks or {"d2t": "Data-to-text"}, SYSTEMS | (titles or {})
    for task in tasks:
        write_task(folder, task, bleu, seeds, outputs or {})
    texts = Texts({task: {"title": title} for task, title in tasks.items()}, systems)
    compared = [folder / f"comparisons/{task}.json" for task in tasks]
    write_json(folder / "claims.json", decide_claims(CLAIMS, compared, texts))
    students = {system: systems[system] for system in bleu if system in STUDENTS}
    places = [(task, system) for task in tasks for system in bleu]
    modelled = [(task, system) for task, system in places if system != "copy"]
    files = Files(
        metrics={(task, system): folder / task / system / "metrics.json" for task, system in places},
        risks={(task, system): folder / task / system / "risk.json" for task, system in modelled},
        comparisons={task: folder / f"comparisons/{task}.json" for task in tasks},
        manifests={task: folder / task / "prepare/manifest.json" for task in tasks},
        tests={task: folder / task / "prepare/test.parquet" for task in tasks},
        generations={(task, system): folder / task / system / "seed1/generate.parquet" for task, system in modelled},
        logs=[
            (task, system, folder / task / system / f"seed{seed}/train.jsonl")
            for task, system in modelled
            if system in students
            for seed in range(1, seeds + 1)
        ],
        figures={
            (task, kind): folder / f"figures/{task}.{kind}.svg" for task in tasks for kind in ("risk", "curves", "cost")
        },
        claims=folder / "claims.json",
    )
    layout = sections({"teacher": systems["teacher"]}, {"copy": systems["copy"]}, students)
    return files, Study(tasks, layout, dict.fromkeys(tasks, "–"), dict.fromkeys(tasks, "records"), examples=1)
