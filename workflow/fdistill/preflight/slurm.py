"""The check of SLURM: whether the cluster accepts the jobs, by `sbatch --test-only`, which submits nothing."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from fdistill.preflight.plan import Finding, Plan

PROFILE = "profiles/slurm/config.yaml"
WHERE = "SLURM"
FLAGS = {  # sbatch's flags by a rule's resources, as Snakemake's executor passes them
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
    """Test each distinct request once; rules with the same request share one finding."""
    if not plan.jobs:
        return
    if shutil.which("sbatch") is None:
        yield Finding(WHERE, "there is no sbatch here; run preflight on a login node, where jobs are submitted", True)
        return
    requests: dict[tuple[str, ...], list[str]] = {}
    for rule, resources in plan.jobs.items():
        requests.setdefault(_flags(resources), []).append(rule)
    refused: dict[str, list[str]] = {}
    for flags, rules in requests.items():
        problem = _refusal(flags) or _too_long(plan.jobs[rules[0]])
        if problem:
            refused.setdefault(problem, []).append(f"{', '.join(rules)} ({' '.join(flags) or 'no flags'})")
    for problem, rules in refused.items():
        fix = f"change account, partitions, gpu_type or longest at the top of {PROFILE}, or the rule's resources there"
        yield Finding(WHERE, f"{problem}. Requested by {', and by '.join(rules)}; {fix}", problem=True)
    if not refused:
        accounts = _values(plan, "slurm_account") or "your default account"
        partitions = _values(plan, "slurm_partition") or "the default partition"
        yield Finding(WHERE, f"accepts the jobs of {len(plan.jobs)} rules ({accounts}, {partitions})")


def _values(plan: Plan, key: str) -> str:
    return ", ".join(dict.fromkeys(str(resources[key]) for resources in plan.jobs.values() if resources.get(key)))


def _flags(resources: dict[str, Any]) -> tuple[str, ...]:
    kind, count = resources.get("gpu_model"), resources.get("gpu")
    gpus = f"{kind}:{count or 1}" if kind else count
    resources = resources | {"gpus": gpus}
    return tuple(flag.format(resources[key]) for key, flag in FLAGS.items() if resources.get(key))


def _refusal(flags: tuple[str, ...]) -> str | None:
    """Return why sbatch refuses a request; None when it accepts it."""
    test = _run("sbatch", "--test-only", *flags, "--wrap=true")
    if test.returncode == 0:
        return None
    lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in test.stderr.splitlines() if line.strip()]
    return "; ".join(lines) or f"sbatch --test-only ended with status {test.returncode}"


def _too_long(resources: dict[str, Any]) -> str | None:
    """Return the problem of a job that is longer than its partition allows; None if it is not.

    On a cluster that does not enforce limits at submission, sbatch accepts such a job, and it waits forever.
    """
    partition = resources.get("slurm_partition")
    listing = _run("sinfo", "--noheader", "--format=%P %l", *([f"--partition={partition}"] if partition else []))
    for line in listing.stdout.splitlines():
        name, limit = line.split()
        minutes = _minutes(limit)
        if (partition or name.endswith("*")) and minutes is not None and resources.get("runtime", 0) > minutes:
            return f"partition {name.rstrip('*')} lets jobs run for {minutes} minutes, fewer than runtime"
    return None


def _minutes(limit: str) -> int | None:
    """Return SLURM's [days-]hours:minutes:seconds (or minutes:seconds) in minutes; None without a limit."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if match is None:
        return None
    days, hours, minutes = (int(part or 0) for part in match.groups()[:3])
    return (days * 24 + hours) * 60 + minutes


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=30)
