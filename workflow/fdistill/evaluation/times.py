"""The files of measured times that tables and claims read, as `artifacts.shapes` describes them."""

from fdistill.artifacts.shapes import COUNT, INTERVAL

# What bench_online.py measured: the steps of pairs of methods, and an online step's time over an offline one's.
KINDS = ("online", "offline")
SPREAD = {"median": float, "min": float, "max": float}
ONLINE_FILE = {
    "pairs": [
        {
            **dict.fromkeys(KINDS, str),
            "seconds": dict.fromkeys(KINDS, SPREAD),
            "speedup": SPREAD | {"interval": (INTERVAL, None)},
            "other_cpus": (float, None),
        }
    ],
    "steps": COUNT,
    "machine": {"name": str, "cpus": COUNT},
}

# What bench_layers.py measured and fitted: inference time by the numbers of layers.
WAYS = ("forward", "generate")
ESTIMATE = {"value": float, "interval": INTERVAL}
FIT = {
    "full_seconds": float,
    "percent": {"decoder": ESTIMATE, "encoder?": ESTIMATE},
    "ratio": (ESTIMATE, None),
    "r2": float,
}
LAYERS_FILE = {
    "family": str,
    "fits": dict.fromkeys(WAYS, FIT),
    "models": [{"layers": {...: COUNT}}],
    **dict.fromkeys(("batch", "source_tokens", "target_tokens", "repeats"), COUNT),
    "precision": str,
    "machine": {"name": str, "cpus": COUNT, "load": float},
}
