"""One run per folder: a second one is refused, a dry run is not, and the lock ends with its process."""

import os
import subprocess
import sys

import pytest
from fdistill.runtime.errors import UserError
from fdistill.runtime.folder_lock import claim
from snake import SMOKE, snakemake

HOLDER = "import sys; from fdistill.runtime.folder_lock import claim; claim(sys.argv[1]); print(flush=True); input()"


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of a run in `tmp_path`."""
    code = f"from pathlib import Path\n{HOLDER.replace('sys.argv[1]', 'Path(sys.argv[1])')}"
    command = [sys.executable, "-c", code, tmp_path / ".snakemake/fdistill/run.lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_a_second_run_names_the_first(holder, tmp_path):
    """Snakemake's own lock was gone when a short run, as of preflight, had ended beside a long one."""
    target = ["-c1", "--configfile", SMOKE, "--", "results/en_ro/prepare/test.parquet"]
    refused = snakemake(*target, directory=tmp_path, check=False)
    assert refused.returncode == 1 and f"another run works here (process {holder.pid})" in refused.stdout
    assert not (tmp_path / "results").exists()
    assert snakemake("-n", *target, directory=tmp_path, check=False).returncode == 0
    preflight = ["-c1", "--configfile", SMOKE, "--", "preflight"]
    assert "another run works here" not in snakemake(*preflight, directory=tmp_path, check=False).stdout


def test_the_lock_ends_with_its_process(holder, tmp_path):
    lock = tmp_path / ".snakemake/fdistill/run.lock"
    with pytest.raises(UserError, match=f"process {holder.pid}"):
        claim(lock)
    holder.kill()
    holder.wait()
    claim(lock)
    assert lock.read_text() == f"{os.getpid()}\n"
