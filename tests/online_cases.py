"""The files that the table of online and offline samples is made from: scores, comparisons, and times of steps."""

from pathlib import Path

from aggregated_files import write_aggregated, write_comparisons
from fdistill.artifacts.files import write_json

TASKS = {"dart": "DART", "mine": "Mine"}
SYSTEMS = {"js": "JS", "tvd": "TVD"}
SCORES = {"js": 46.0, "js_online": 45.0, "tvd": 44.0, "tvd_online": 43.0}
LINEAGE = {"data": "d", "teacher": "t"}


def spread(median):
    return {"median": median, "min": median / 2, "max": median * 2}


def write_times(path, task, other_cpus=0.04, methods=("js", "tvd"), **lineage):
    """Write a file as bench_online.py does."""
    seconds = {"offline": spread(0.2), "online": spread(0.5)}
    pairs = [
        {
            "offline": name,
            "online": f"{name}_online",
            "seconds": seconds,
            "speedup": spread(2.4) | {"interval": [2.2, 2.6]},
            "other_cpus": other_cpus,
        }
        for name in methods
    ]
    content = {"task": task, "pairs": pairs, "steps": 40, "machine": {"name": "a CPU", "cpus": 2}}
    write_json(path, content | {"lineage": LINEAGE | {"task": task} | lineage})


def write_study(folder: Path) -> tuple[list[Path], list[Path], dict[str, Path]]:
    """Write the files of two tasks: metrics, comparisons, and times by task."""
    metrics, measured = [], {}
    for task in TASKS:
        for system, score in SCORES.items():
            entry = {"title": "BLEU-4", "direction": "higher", "mean": score, "std": None, "seeds": {"1": score}}
            entry |= {"interval": [score - 0.5, score + 0.5], "signature": "s", "missing": None}
            content = {"task": task, "method": system, "n_inputs": 4, "metrics": {"bleu4": entry}, "versions": {}}
            path = folder / f"{task}.{system}.json"
            metrics.append(write_aggregated(path, content | {"lineage": LINEAGE | {"task": task, "method": system}}))
        measured[task] = folder / f"{task}.online.json"
        write_times(measured[task], task)
    return metrics, write_comparisons(metrics, SCORES), measured
