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

from fdistill import __version__
from fdistill.artifacts import records
from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.files import sha256, write_json
from fdistill.artifacts.journal import Journal, current
from fdistill.artifacts.manifest import MANIFEST
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "numpy", "pyarrow", "sacrebleu", "snakemake")
MIB = 2**20
SUMS, PEAKS = ("wall_seconds", "gpu_hours"), ("peak_memory_mib", "peak_gpu_memory_mib")

COST = ".cost"  # suffix of the note that an unfinished run leaves of its cost, beside the work that it has kept


def note_cost(folder: Path) -> None:
    """Write what this run has cost so far to `folder`, where it keeps its unfinished work."""
    journal = current()
    if journal is None or os.environ.get("RANK", "0") != "0":  # one rank notes it for all
        return
    try:
        write_json(folder / _note(journal), _cost(journal))
    except UserError as error:
        log.warning("%s", error)


def take_over_costs(folder: Path) -> None:
    """Count the cost of the interrupted runs that left `folder`; of a killed one, until its last note."""
    journal = current()
    if journal is None:
        return
    for path in (path for path in folder.glob(f"*{COST}") if path.name != _note(journal)):
        try:
            noted = json.loads(path.read_text(encoding="utf-8"))
            journal.earlier_costs[path.name] = {key: noted[key] + 0 for key in (*SUMS, *PEAKS)}
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("%s: damaged (%s); this cost is not counted", path, error)


def _note(journal: Journal) -> str:
    return f"{journal.started_at}{COST}"


def write_record(journal: Journal) -> None:
    """Write the record of a run that has succeeded beside the first output that its command line names.

    Nothing is written when the command line names none of the files that the run has written.
    """
    arguments = sys.argv[1:]
    named = {part for argument in arguments for part in (argument, argument.partition("=")[2])}
    outputs = [path for path in dict.fromkeys(journal.outputs) if str(path) in named and path.exists()]
    if not outputs:
        return
    files = [path / MANIFEST if path.is_dir() else path for path in outputs]  # a manifest has its folder's hashes
    content = {
        "stage": Path(sys.argv[0]).stem,
        "inputs": dict(sorted(journal.inputs.items())),
        "outputs": {str(path): sha256(path) for path in files},
        "configuration": hashlib.sha256(json.dumps(arguments).encode()).hexdigest(),
        "seed": _seed(arguments),
        "code": code_version(),
        "packages": {"python": platform.python_version()} | _versions(),
        "hardware": {"cpu": _cpu(), "cpus": os.cpu_count(), "gpus": _gpus()},
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "attempts": 1 + len(journal.earlier_costs),
        **total([_cost(journal), *journal.earlier_costs.values()]),
    }
    write_text(records.record_of(outputs[0]), records.as_text(content))


def total(costs: list[dict[str, float]]) -> dict[str, float]:
    """Time summed, memory at its highest."""
    sums = {key: round(sum(cost[key] for cost in costs), 6) for key in SUMS}
    return sums | {key: max((cost[key] for cost in costs), default=0) for key in PEAKS}


def _cost(journal: Journal) -> dict[str, float]:
    """The cost of this process until now."""
    seconds = time.monotonic() - journal.started
    return {
        "wall_seconds": round(seconds, 3),
        "gpu_hours": round(seconds * len(_gpus()) / 3600, 6),
        "peak_memory_mib": round(_peak_memory() / MIB),
        "peak_gpu_memory_mib": round(_peak_gpu_memory() / MIB),
    }


def code_version() -> dict[str, Any]:
    """The git commit of the code, and whether files that it has were changed since; `unknown` outside git."""
    unpacked = Path(__file__).parents[3] / "COMMIT"  # a copy for a remote module (rules/module.smk)
    if unpacked.exists():
        return {"commit": unpacked.read_text(), "dirty": False}
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
    found = {"fdistill": __version__}
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
