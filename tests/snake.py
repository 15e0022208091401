"""Running the workflow as a user does."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "tests" / "smoke.yaml"


def snakemake(*arguments, directory=None, check=True, timeout=1800):
    """Run Snakemake from the repository's root; output of both streams is in `stdout`."""
    place = [] if directory is None else ["--directory", str(directory)]
    command = [sys.executable, "-m", "snakemake", *place, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout
    )
    if check:
        assert done.returncode == 0, done.stdout[-8000:]
    return done


def planned(output):
    """What a dry run would do: {(rule, wildcards): reason}."""
    jobs = {}
    for block in re.split(r"\n(?=\[\w{3} \w{3} )", output):
        rule = re.search(r"^(?:local)?rule (\w+):", block, re.M)
        if rule:
            wildcards = re.search(r"^\s+wildcards: (.*)$", block, re.M)
            reason = re.search(r"^\s+reason: (.*)$", block, re.M)
            key = (rule.group(1), wildcards.group(1) if wildcards else "")
            jobs[key] = reason.group(1) if reason else ""
    return jobs
