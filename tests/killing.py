"""Scripts run as processes of their own that can be killed, without the seconds that importing torch takes.

A server process imports once and forks; each child runs a script as `python SCRIPT ARGUMENTS` would.
"""

import logging
import multiprocessing
import os
import runpy
import socket
import sys
import time
from pathlib import Path

from snake import ROOT

SLOW = [f"transformers.models.{name}.modeling_{name}" for name in ("bart", "gpt2")]  # on first use, like the rest
SLOW += ["torch._dynamo", "transformers.generation.utils", "matplotlib.backends.backend_svg"]
OURS = ["experiment", "data.samples", "data.sources", "evaluation.risks", "evaluation.figures", "evaluation.tables"]
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([*(f"fdistill.{name}" for name in OURS), *SLOW])


def warm_up() -> None:
    """Wait until the server runs, so that a script's time is its own."""
    process = SERVER.Process(target=int)
    process.start()
    process.join()


def start(script: str, arguments: list, log: Path, **environment: str) -> multiprocessing.Process:
    """Start a script of workflow/scripts; what it says is added to `log`."""
    process = SERVER.Process(target=_run, args=(script, [str(each) for each in arguments], str(log), environment))
    process.start()
    return process


def start_ranks(script: str, arguments: list, log: Path, count: int = 2) -> list[multiprocessing.Process]:
    """Start a script as torchrun does: so many processes that meet, each told who it is."""
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    ranks = [{name: str(rank) for name in ("RANK", "LOCAL_RANK")} for rank in range(count)]
    return [start(script, arguments, log, WORLD_SIZE=str(count), **meeting, **rank) for rank in ranks]


def run(script: str, arguments: list, log: Path) -> int:
    """Its exit status when it is left alone."""
    process = start(script, arguments, log)
    process.join()
    return process.exitcode


def _run(script: str, arguments: list[str], log: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    with Path(log).open("a") as file:
        os.dup2(file.fileno(), 2)
    sys.argv = [script, *arguments]
    logging.raiseExceptions = False
    runpy.run_path(str(ROOT / f"workflow/scripts/{script}.py"), run_name="__main__")


def signal_after(process: multiprocessing.Process, seconds: float, number: int) -> bool:
    """Send a signal after some seconds, and wait for the end; False when the script had ended before."""
    process.join(seconds)
    running = process.is_alive()
    if running:
        os.kill(process.pid, number)
    process.join()
    return running


def wait_for(condition, process: multiprocessing.Process, seconds: float = 60) -> None:
    """Until `condition()` holds or the script has ended; an error when that takes too long."""
    deadline = time.monotonic() + seconds
    while process.is_alive() and not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
