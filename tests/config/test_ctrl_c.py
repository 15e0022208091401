"""Ctrl-C ends a script with one word and status 130: while it imports, and while it runs."""

import os
import signal
import subprocess
import sys
import time

import pytest
from fdistill import INTERRUPTED
from fdistill.artifacts.atomic import atomic
from fdistill.config import cli
from snake import ROOT

SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
MODULES = ("torch", "yaml", "pyarrow")  # the first of them that a script imports sends the signal


@pytest.fixture(scope="module")
def interrupting(tmp_path_factory):
    """A folder of modules that interrupt the script that imports them."""
    folder = tmp_path_factory.mktemp("modules")
    for name in MODULES:
        (folder / f"{name}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    return folder


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_ctrl_c_while_a_script_imports(script, interrupting):
    path = os.pathsep.join([str(interrupting), str(ROOT / "workflow")])
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # the tests may ignore it
    )
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "interrupted\n")


def test_ctrl_c_while_a_script_runs(tmp_path, capfd):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run in the background

    def main():
        with atomic(tmp_path / "x") as temporary:
            temporary.touch()
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

    try:
        with pytest.raises(SystemExit) as error:
            cli.run(main)
    finally:
        signal.signal(signal.SIGINT, before)
    assert error.value.code == INTERRUPTED
    assert capfd.readouterr().err == "interrupted\n"
    assert not list(tmp_path.iterdir())


def test_every_script_is_run_by_the_function_that_takes_ctrl_c():
    for script in SCRIPTS:
        assert script.read_text().endswith("    cli.run(main)\n"), script


def test_a_script_in_the_background_keeps_ignoring_it(interrupting):
    """A shell starts a job with `&` so, and nohup does."""
    path = os.pathsep.join([str(interrupting), str(ROOT / "workflow")])
    done = subprocess.run(
        [sys.executable, SCRIPTS[0]],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert "interrupted" not in done.stderr and done.returncode != INTERRUPTED
