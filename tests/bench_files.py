"""Files of benchmarks that tables and claims read."""

from fdistill.artifacts.files import write_json


def write_layers(path, task):
    """Write a file as bench_layers.py does; return its path."""
    estimate = {"value": 8.0, "interval": [7.5, 8.5]}
    fit = {"full_seconds": 0.1, "percent": {"decoder": estimate, "encoder": estimate}, "r2": 0.99}
    fits = {
        "forward": fit | {"ratio": {"value": 2.0, "interval": [1.9, 2.1]}},
        "generate": fit | {"ratio": {"value": 9.0, "interval": [8.0, 10.0]}},
    }
    content = {"task": task, "family": "bart", "fits": fits, "precision": "float32"}
    content |= {"models": [{"layers": {"encoder": 2, "decoder": 2}}]}
    content |= {"batch": 8, "source_tokens": 9, "target_tokens": 9, "repeats": 3}
    write_json(path, content | {"machine": {"name": "a CPU_1", "cpus": 2, "load": 0.5}})
    return path
