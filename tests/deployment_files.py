"""Files of rule `deployment`, as its script writes them."""

from pathlib import Path
from typing import Any

from fdistill.artifacts.files import write_json

RUNTIMES = ("transformers", "ctranslate2_float32", "ctranslate2_int8")
MACHINE = {"name": "a CPU", "device": "cpu", "threads": 1, "cpus": 2, "load": 0.5, "versions": {"torch": "2"}}
SYSTEMS = {"teacher": "Teacher", "kl": "KL", "js": "JS"}
LATENCIES = {"teacher": (200.0, 40.0, 20.0), "kl": (100.0, 20.0, 10.0), "js": (100.0, 20.0, 11.0)}
SCORES = {"teacher": (50.0, 50.0, 45.0), "kl": (40.0, 40.0, 38.0), "js": (42.0, 42.0, 37.0)}


def quartiles(value: float) -> dict[str, float]:
    return {"median": value, "q1": 0.75 * value, "q3": 1.5 * value}


def runtime_entry(name: str, latency: float, score: float | None, study: float) -> dict[str, Any]:
    own = name == "transformers"
    difference = None if own or score is None else {"value": score - study, "interval": [score - study - 1, 0.5]}
    scores = {
        "bleu4": {
            "title": "BLEU-4",
            "direction": "higher",
            "value": score,
            "interval": None if score is None else [score - 2, score + 2],
            "difference": difference,
            "missing": None if score is not None else {"reason": "r", "fix": "f"},
        }
    }
    return {
        "weights_bytes": 4_000_000 if name != "ctranslate2_int8" else 1_000_000,
        "latency_ms": quartiles(latency),
        "output_tokens": 7.5,
        "inputs_per_s": quartiles(5000 / latency),
        "tokens_per_s": quartiles(37500 / latency),
        "speedup": {"latency": quartiles(200 / latency), "throughput": quartiles(100 / latency)},
        "memory": {"bytes": 30_000_000, "measure": "how"},
        "differs": [] if own else ["early_stopping: ends sooner"],
        "scores": scores,
    }


def write_deployment(folder: Path, system: str, task: str = "dart", **changes: Any) -> Path:
    """Write the file of a system; `changes` replace keys of it."""
    entries = {
        name: runtime_entry(name, latency, score, SCORES[system][0])
        for name, latency, score in zip(RUNTIMES, LATENCIES[system], SCORES[system], strict=True)
    }
    path = folder / task / system / "deployment.json"
    content = {
        "task": task,
        "method": system,
        "seed": 1,
        "parameters": {"all": 1_190_000, "without_embeddings": 1_120_000},
        "runtimes": entries,
        "reference": {"latency_ms": quartiles(200.0), "inputs_per_s": quartiles(25.0)},
        "conditions": {"latency_inputs": 32, "batches": 8, "batch_size": 32, "test_inputs": 2000},
        "decoding": {"num_beams": 4, "max_new_tokens": 20},
        "machine": MACHINE,
        "other_cpus": 0.0,
        "lineage": {"data": "d", "task": task, "method": system, "seed": "1"},
    }
    write_json(path, content | changes)
    return path
