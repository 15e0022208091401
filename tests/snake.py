"""Running the workflow as a user does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import warm
from snakemake import cli

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "tests" / "smoke.yaml"


def snakemake(*arguments, directory=None, check=True, timeout=1800, root=ROOT, cold=False):
    """Run Snakemake from the repository's root; output of both streams is in `stdout`.

    It and its jobs are forked (`warm`) unless they are to start `cold`, as a user's do.
    """
    place = [] if directory is None else ["--directory", directory]
    given = [str(argument) for argument in (*place, *arguments)]
    if cold:
        command = [sys.executable, "-m", "snakemake", *given]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(command, cwd=root, text=True, timeout=timeout, **streams)
    else:
        done = warm.run(_snakemake, given, str(root), warm.python(), timeout=timeout)
    if check:
        assert done.returncode == 0, done.stdout[-8000:]
    return done


def start_snakemake(*arguments, directory, root, log):
    """Start Snakemake, warm, and do not wait; its process."""
    given = [str(argument) for argument in ("--directory", directory, *arguments)]
    return warm.start(_snakemake, given, str(root), warm.python(), log=log)


def _snakemake(arguments, root, python):
    os.chdir(root)
    sys.argv = ["snakemake", *arguments]
    sys.executable = python  # the Snakefile has jobs run the `python` of its folder
    cli.main(arguments)


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
