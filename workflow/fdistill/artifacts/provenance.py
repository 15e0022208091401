"""Provenance: what an output was made from, by which code, on which machine, and at what cost.

A script that succeeds writes one record beside the first of its outputs, `NAME.provenance.json`. The record is not an
output of a rule, because its times differ from run to run while the outputs' bytes do not. Later stages compare the
files that they read with the hashes in it (see `records`).
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

from fdistill import __version__
from fdistill.artifacts import records
from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.code import code_hash
from fdistill.artifacts.files import JSON_ESCAPES, sha256, write_json
from fdistill.artifacts.journal import Journal, current
from fdistill.artifacts.records import MANIFEST
from fdistill.artifacts.shapes import AtLeast, parse
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "numpy", "pyarrow", "sacrebleu", "snakemake")
MIB = 2**20
SUMS, PEAKS = ("wall_seconds", "gpu_hours"), ("peak_memory_mib", "peak_gpu_memory_mib")

COST = ".cost"  # suffix of the file in which an unfinished run notes its cost, beside its checkpoints or batches


def note_cost(folder: Path) -> None:
    """Write what this run has cost so far to `folder`, where it stores its checkpoints or finished batches."""
    journal = current()
    if journal is None or os.environ.get("RANK", "0") != "0":  # rank 0 notes it for all ranks
        return
    try:
        write_json(folder / _cost_file(journal), _cost(journal))
    except UserError as error:
        log.warning("%s", error)


def take_over_costs(folder: Path) -> None:
    """Add the costs that interrupted runs noted in `folder` to the journal; a killed run's only up to its last note."""
    journal = current()
    if journal is None:
        return
    for path in (path for path in folder.glob(f"*{COST}") if path.name != _cost_file(journal)):
        try:
            cost = parse(path.read_text(encoding="utf-8"), dict.fromkeys((*SUMS, *PEAKS), AtLeast(float)))
            journal.earlier_costs[path.name] = {key: cost[key] for key in (*SUMS, *PEAKS)}
        except (OSError, ValueError) as error:
            log.warning("%s: damaged (%s); this cost is not counted", path, error)


def _cost_file(journal: Journal) -> str:
    return f"{journal.started_at}{COST}"


def write_record(journal: Journal) -> None:
    """Write the record of a run that has succeeded, beside the first output that is in its command line.

    It lists these outputs and what was written beside them. Nothing is written when the command line contains none of
    the files that the run has written.
    """
    arguments = sys.argv[1:]
    words = {word for argument in arguments for word in (argument, argument.partition("=")[2])}
    written = [path for path in dict.fromkeys(journal.outputs) if path.exists()]
    named = [path for path in written if str(path) in words]
    if not named:
        return
    folders = {path.parent for path in named}
    outputs = [*named, *(path for path in written if path not in named and path.parent in folders)]
    files = [path / MANIFEST if path.is_dir() else path for path in outputs]  # a manifest contains its folder's hashes
    content = {
        "stage": Path(sys.argv[0]).stem,
        "inputs": dict(sorted(journal.inputs.items())),
        "outputs": {str(path): sha256(path) for path in files},
        "configuration": hashlib.sha256(json.dumps(arguments).encode()).hexdigest(),
        "seed": _seed(arguments),
        "code": code_version() | {"sha256": code_hash(Path(sys.argv[0]))},
        "packages": {"python": platform.python_version()} | _versions(),
        "hardware": {"cpu": _cpu(), "cpus": os.cpu_count(), "gpus": _gpus()},
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "attempts": 1 + len(journal.earlier_costs),
        **total([_cost(journal), *journal.earlier_costs.values()]),
    }
    write_text(records.record_of(outputs[0]), records.record_text(content), JSON_ESCAPES)


def total(costs: list[dict[str, float]]) -> dict[str, float]:
    """Return the total of several costs: the sum of their times, the maximum of their memory."""
    sums = {key: round(sum(cost[key] for cost in costs), 6) for key in SUMS}
    return sums | {key: max((cost[key] for cost in costs), default=0) for key in PEAKS}


def _cost(journal: Journal) -> dict[str, float]:
    """Return the cost of this process so far."""
    seconds = time.monotonic() - journal.started
    return {
        "wall_seconds": round(seconds, 3),
        "gpu_hours": round(seconds * len(_gpus()) / 3600, 6),
        "peak_memory_mib": round(_peak_memory() / MIB),
        "peak_gpu_memory_mib": round(_peak_gpu_memory() / MIB),
    }


def code_version() -> dict[str, Any]:
    """Return the git commit of the code and whether tracked files were changed since; `unknown` outside git."""
    unpacked = Path(__file__).parents[3] / "COMMIT"  # a copy for a remote module (rules/module.smk)
    if unpacked.exists():
        return {"commit": unpacked.read_text(), "dirty": False}
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        completed = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return {"commit": "unknown", "dirty": None}
    commit, dirty, _ = completed.stdout.strip().partition("-dirty")
    return {"commit": commit, "dirty": bool(dirty)} if commit else {"commit": "unknown", "dirty": None}


def _seed(arguments: list[str]) -> int | None:
    match = re.search(r"(?:^|\n)--seed[=\n](\d+)", "\n".join(arguments))
    return int(match.group(1)) if match else None


def _versions() -> dict[str, str]:
    versions = {"fdistill": __version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _cpu() -> str:
    try:
        name = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        name = None
    return name.group(1) if name else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """Return the names of the GPUs that this job has used: those of this process, once for each rank."""
    torch = sys.modules.get("torch")  # not imported: a script that does not use torch has used no GPU
    if torch is None or not torch.cuda.is_available():
        return []
    used = [i for i in range(torch.cuda.device_count()) if torch.cuda.max_memory_allocated(i)]
    return [torch.cuda.get_device_name(i) for i in used] * int(os.environ.get("WORLD_SIZE", "1"))


def _peak_gpu_memory() -> int:
    """Return the peak memory in bytes of the GPU that used most."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0
    return max((torch.cuda.max_memory_allocated(i) for i in range(torch.cuda.device_count())), default=0)


def _peak_memory() -> int:
    """Return the peak memory in bytes of this process or of the largest process that it started."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
