"""Start scripts in processes of their own, alone or as ranks, and send them signals."""

import os
import socket
import time
from multiprocessing import Process
from pathlib import Path

import warm


def warm_up() -> None:
    """Wait until the server of `warm` runs, so that the time of a script does not include the server's start."""
    warm.run(int)


def start(script: str, arguments: list, log: Path, folder: Path = Path(), **environment: str) -> Process:
    """Start a script of workflow/scripts in `folder`; append its output to `log`."""
    texts = [str(argument) for argument in arguments]
    return warm.start(warm.script, script, texts, str(folder), log=log, **environment)


def start_ranks(script: str, arguments: list, log: Path, count: int = 2, folder: Path = Path()) -> list[Process]:
    """Start a script in `folder` on `count` ranks of one process group, with the environment that torchrun sets."""
    with socket.create_server(("localhost", 0)) as unused:
        port = unused.getsockname()[1]
    rendezvous = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    ranks = [{name: str(rank) for name in ("RANK", "LOCAL_RANK")} for rank in range(count)]
    return [start(script, arguments, log, folder, WORLD_SIZE=str(count), **rendezvous, **rank) for rank in ranks]


def run(script: str, arguments: list, log: Path) -> int:
    """Run a script to its end; return its exit status."""
    process = start(script, arguments, log)
    process.join()
    return process.exitcode


def signal_after(process: Process, seconds: float, number: int) -> bool:
    """Send a signal after some seconds and wait for the script's end.

    Return False if the script ended before the signal.
    """
    process.join(seconds)
    running = process.is_alive()
    if running:
        os.kill(process.pid, number)
    process.join()
    return running


def wait_for(condition, process: Process, seconds: float = 600) -> None:
    """Wait until `condition()` holds or the script has ended; raise AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while process.is_alive() and not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
