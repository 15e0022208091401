"""SLURM: whether the cluster would take the jobs, asked of `sbatch --test-only`, which submits nothing."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from fdistill.preflight.plan import Finding, Plan

PROFILE = "profiles/slurm/config.yaml"
WHERE = "SLURM"
ASKED = {  # a rule's resources, as the executor hands them to sbatch
    "slurm_account": "--account={}",
    "slurm_partition": "--partition={}",
    "runtime": "--time={}",
    "mem_mb": "--mem={}",
    "cpus_per_task": "--cpus-per-task={}",
    "nodes": "--nodes={}",
    "gres": "--gres={}",
    "gpus": "--gpus={}",
    "constraint": "--constraint={}",
    "qos": "--qos={}",
}


def check(plan: Plan) -> Iterator[Finding]:
    """Ask for each distinct request once; rules that ask for the same share one finding."""
    if not plan.jobs:
        return
    if shutil.which("sbatch") is None:
        yield Finding(WHERE, "there is no sbatch here; run this where jobs can be submitted, on a login node", True)
        return
    requests: dict[tuple[str, ...], list[str]] = {}
    for rule, resources in plan.jobs.items():
        requests.setdefault(_flags(resources), []).append(rule)
    refused: dict[str, list[str]] = {}
    for flags, rules in requests.items():
        problem = _refusal(flags) or _too_long(plan.jobs[rules[0]])
        if problem:
            refused.setdefault(problem, []).append(f"{', '.join(rules)}: {' '.join(flags) or 'nothing'}")
    for problem, asked in refused.items():
        fix = f"change account, partitions, gpu_type or longest at the top of {PROFILE}, or the rule's resources there"
        yield Finding(WHERE, f"{problem}. Asked for {', and for '.join(asked)}; {fix}", problem=True)
    if not refused:
        accounts = _named(plan, "slurm_account") or "your default account"
        partitions = _named(plan, "slurm_partition") or "the default partition"
        yield Finding(WHERE, f"takes the jobs of {len(plan.jobs)} rules ({accounts}, {partitions})")


def _named(plan: Plan, key: str) -> str:
    return ", ".join(dict.fromkeys(str(asked[key]) for asked in plan.jobs.values() if asked.get(key)))


def _flags(resources: dict[str, Any]) -> tuple[str, ...]:
    kind, count = resources.get("gpu_model"), resources.get("gpu")
    gpus = f"{kind}:{count or 1}" if kind else count
    asked = resources | {"gpus": gpus}
    return tuple(flag.format(asked[key]) for key, flag in ASKED.items() if asked.get(key))


def _refusal(flags: tuple[str, ...]) -> str | None:
    """What sbatch says against a request; None when it would take it."""
    done = _run("sbatch", "--test-only", *flags, "--wrap=true")
    if done.returncode == 0:
        return None
    said = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in done.stderr.splitlines() if line.strip()]
    return "; ".join(said) or f"sbatch --test-only ended with status {done.returncode}"


def _too_long(resources: dict[str, Any]) -> str | None:
    """A job longer than its partition allows: where limits are not enforced, it is taken and waits for ever."""
    partition = resources.get("slurm_partition")
    listed = _run("sinfo", "--noheader", "--format=%P %l", *([f"--partition={partition}"] if partition else []))
    for line in listed.stdout.splitlines():
        name, limit = line.split()
        minutes = _minutes(limit)
        if (partition or name.endswith("*")) and minutes is not None and resources.get("runtime", 0) > minutes:
            return f"partition {name.rstrip('*')} lets jobs run for {minutes} minutes, fewer than runtime"
    return None


def _minutes(limit: str) -> int | None:
    """SLURM's [days-]hours:minutes:seconds (or minutes:seconds) in minutes; None without a limit."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if match is None:
        return None
    days, hours, minutes = (int(part or 0) for part in match.groups()[:3])
    return (days * 24 + hours) * 60 + minutes


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=30)
