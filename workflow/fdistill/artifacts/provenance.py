"""Provenance: from what an artefact was made, by which code, on which machine, and at what cost.

A script that ends well leaves one record beside the first of its outputs, `NAME.provenance.json`. It is no output of a
rule: its times differ from run to run, while the artefacts' bytes do not. Of it, stages read the outputs' hashes: what
has taken an output's place since is refused (`records`).
"""

import hashlib
import json
import logging
import os
import platform
import re
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import READ, WRITTEN, sha256, write_json
from fdistill.artifacts.manifest import MANIFEST
from fdistill.artifacts.records import record_of
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

PACKAGES = ("fdistill", "torch", "transformers", "tokenizers", "datasets", "numpy", "pyarrow", "sacrebleu", "snakemake")
MIB = 2**20
SUMS, PEAKS = ("wall_seconds", "gpu_hours"), ("peak_memory_mib", "peak_gpu_memory_mib")

COST = ".cost"  # suffix of what a run notes of its cost, beside what it would go on from
_began: tuple[int, float]  # of this process: the time, which names its note, and the clock
_earlier: dict[str, dict[str, float]] = {}  # costs of runs that were cut off, by the names of their notes


def begin() -> None:
    """Time counts from now on; what was read or written before is another run's."""
    global _began
    READ.clear()
    WRITTEN.clear()
    _earlier.clear()
    _began = time.time_ns(), time.monotonic()


begin()


def note_cost(folder: Path) -> None:
    """Write down what this job has cost so far, beside the work that it keeps in `folder`."""
    if os.environ.get("RANK", "0") != "0":  # of its workers one
        return
    try:
        write_json(folder / _note(), _cost())
    except UserError as error:
        log.warning("%s", error)


def take_over_costs(folder: Path) -> None:
    """Count what the runs that were cut off and left `folder` have cost; of a killed one, until its last note."""
    for path in (path for path in folder.glob(f"*{COST}") if path.name != _note()):
        try:
            noted = json.loads(path.read_text(encoding="utf-8"))
            _earlier[path.name] = {key: noted[key] + 0 for key in (*SUMS, *PEAKS)}
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("%s: damaged (%s); this cost is not counted", path, error)


def _note() -> str:
    return f"{_began[0]}{COST}"


def record() -> None:
    """Write the record of this process, which has done its work, unless it wrote nothing that it was told to."""
    arguments = sys.argv[1:]
    named = {part for argument in arguments for part in (argument, argument.partition("=")[2])}
    outputs = [path for path in dict.fromkeys(WRITTEN) if str(path) in named and path.exists()]
    if not outputs:
        return
    files = [path / MANIFEST if path.is_dir() else path for path in outputs]  # a manifest has its folder's hashes
    content = {
        "stage": Path(sys.argv[0]).stem,
        "inputs": dict(sorted(READ.items())),
        "outputs": {str(path): sha256(path) for path in files},
        "configuration": hashlib.sha256(json.dumps(arguments).encode()).hexdigest(),
        "seed": _seed(arguments),
        "code": code_version(),
        "packages": {"python": platform.python_version()} | _versions(),
        "hardware": {"cpu": _cpu(), "cpus": os.cpu_count(), "gpus": _gpus()},
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "attempts": 1 + len(_earlier),
        **total([_cost(), *_earlier.values()]),
    }
    write_json(record_of(outputs[0]), content)


def total(costs: list[dict[str, float]]) -> dict[str, float]:
    """Time summed, memory at its highest."""
    sums = {key: round(sum(cost[key] for cost in costs), 6) for key in SUMS}
    return sums | {key: max((cost[key] for cost in costs), default=0) for key in PEAKS}


def _cost() -> dict[str, float]:
    """Of this process until now."""
    seconds = time.monotonic() - _began[1]
    return {
        "wall_seconds": round(seconds, 3),
        "gpu_hours": round(seconds * len(_gpus()) / 3600, 6),
        "peak_memory_mib": round(_peak_memory() / MIB),
        "peak_gpu_memory_mib": round(_peak_gpu_memory() / MIB),
    }


def code_version() -> dict[str, Any]:
    """The git commit of the code, and whether files that it has were changed since; `unknown` outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return {"commit": "unknown", "dirty": None}
    commit, dirty, _ = done.stdout.strip().partition("-dirty")
    return {"commit": commit, "dirty": bool(dirty)} if commit else {"commit": "unknown", "dirty": None}


def _seed(arguments: list[str]) -> int | None:
    found = re.search(r"(?:^|\n)--seed[=\n](\d+)", "\n".join(arguments))
    return int(found.group(1)) if found else None


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpu() -> str:
    try:
        said = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        said = None
    return said.group(1) if said else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """The GPUs that this job has used: this process's, as many times as there are workers."""
    torch = sys.modules.get("torch")  # a script that does not need it does not load it for this
    if torch is None or not torch.cuda.is_available():
        return []
    used = [i for i in range(torch.cuda.device_count()) if torch.cuda.max_memory_allocated(i)]
    return [torch.cuda.get_device_name(i) for i in used] * int(os.environ.get("WORLD_SIZE", "1"))


def _peak_gpu_memory() -> int:
    """Bytes, of the GPU that had most."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0
    return max((torch.cuda.max_memory_allocated(i) for i in range(torch.cuda.device_count())), default=0)


def _peak_memory() -> int:
    """Bytes, of this process or the largest that it started."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
