"""The fixtures that the tests of preflight share."""

import os

import pytest
from fdistill.artifacts.atomic import write_text
from small_config import Project

# What slurm-wlm 22.05 prints.
CLUSTER = """#!/bin/sh
echo "$@" >> "{log}"
for flag in "$@"; do
  case "$flag" in
    --partition=nope) echo "sbatch: error: invalid partition specified: nope" >&2
                      echo "allocation failure: Invalid partition name specified" >&2; exit 1;;
    --mem=64000) echo "allocation failure: Requested node configuration is not available" >&2; exit 1;;
  esac
done
echo "sbatch: Job 1 to start at 2026-11-22T11:10:08 using 1 processors on nodes n1 in partition gpu" >&2
"""
PARTITIONS = """#!/bin/sh
case "$*" in
  *--partition=gpu*) echo "gpu* 2-00:00:00";;
  *--partition=*) ;;
  *) printf "short 30:00\\ngpu* 2-00:00:00\\nendless infinite\\n";;
esac
"""


@pytest.fixture
def project(tmp_path):
    """A small repository with a configuration."""
    return Project(tmp_path / "project")


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Put a cluster's commands on the PATH; return the file to which sbatch writes its arguments."""
    log = tmp_path / "sbatch.log"
    for name, text in (("sbatch", CLUSTER.format(log=log)), ("sinfo", PARTITIONS)):
        program = tmp_path / "bin" / name
        write_text(program, text)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return log
