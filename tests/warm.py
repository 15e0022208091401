"""Run Python in processes that start fast: a server imports torch, transformers and Snakemake once, then forks.

The imports of a script that runs a model take about 4 s, and most tests are about what it does afterwards.
`run_script` runs a script; `python` returns an executable that other programs, such as Snakemake, can run. Forked
processes share the server's hash seed and the values of the environment variables that packages read during import. A
test that depends on either, or on the start of the interpreter, uses `subprocess` or `snakemake(cold=True)` instead.
"""

import atexit
import functools
import json
import logging
import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from subprocess import CompletedProcess

SCRIPTS = Path(__file__).parents[1] / "workflow/scripts"
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["preloaded"])

# The executable: it sends its arguments, folder, process id and environment, waits, and exits with the script's status.
CLIENT = """#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = [sys.argv[1:], os.getcwd(), os.getpid(), dict(os.environ)]
server.sendall(json.dumps(request).encode() + b"\\n")
sys.exit(int(server.recv(9)))
"""


def start(target: Callable, *arguments, log: Path, **environment: str) -> multiprocessing.Process:
    """Call `target` in a process of its own, without waiting; append its output, of both streams, to `log`."""
    process = SERVER.Process(target=_call, args=(target, arguments, str(log), {**os.environ, **environment}))
    process.start()
    return process


def run(target: Callable, *arguments, timeout: float | None = None) -> CompletedProcess:
    """Call `target` in a process of its own and wait; `stdout` of the result has the output of both streams."""
    with tempfile.NamedTemporaryFile("r", errors="replace") as log:
        process = start(target, *arguments, log=Path(log.name))
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise TimeoutError(f"{timeout} s\n{log.read()}")
        return CompletedProcess(arguments, process.exitcode, log.read())


def script(name: str, arguments: list[str], folder: str = ".") -> None:
    """Run `python workflow/scripts/NAME.py ARGUMENTS` in `folder`, within this process."""
    os.chdir(folder)
    _run([str(SCRIPTS / f"{name}.py"), *arguments])


def run_script(name: str, *arguments) -> CompletedProcess:
    """Run a script in a process of its own and wait for it."""
    return run(script, name, [str(argument) for argument in arguments])


@functools.cache
def python() -> str:
    """Return an executable that runs a script as Python does.

    Arguments, environment, folder, streams and exit status are the same. If it is killed, the script is killed too.
    """
    folder = Path(tempfile.mkdtemp(prefix="warm"))
    atexit.register(shutil.rmtree, folder)
    executable, address = folder / "python", str(folder / "socket")
    executable.write_text(CLIENT.format(python=sys.executable, address=address))
    executable.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        server = SERVER.Process(target=_serve, args=(listener,))
        server.start()
    atexit.register(server.terminate)
    return str(executable)


def _run(arguments: list[str]) -> None:
    sys.argv = arguments
    logging.raiseExceptions = False  # no traceback if the file of the log was removed
    runpy.run_path(arguments[0], run_name="__main__")


def _call(target: Callable, arguments: tuple, log: str, environment: dict[str, str]) -> None:
    import preloaded  # noqa: F401  # the server imported it already, but hides an error in it; here it is raised

    os.environ.clear()
    os.environ.update(environment)
    with Path(log).open("a") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    target(*arguments)


def _serve(listener: socket.socket) -> None:
    """Serve the executable until the tests end.

    Each client has two processes: one runs its script, and one waits until either the script or the client ends.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the processes forked below
    tests = multiprocessing.parent_process().sentinel
    while tests not in wait([listener, tests]):
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listener.close()
        arguments, folder, client, environment = json.loads(connection.makefile().readline())
        process = os.fork()
        if process == 0:  # this process returns, so that it ends as a process of multiprocessing does
            connection.close()
            os.chdir(folder)
            for stream in (1, 2):
                os.dup2(os.open(f"/proc/{client}/fd/{stream}", os.O_WRONLY | os.O_APPEND), stream)
            os.environ.clear()
            os.environ.update(environment)
            return _run(arguments)
        if connection in wait([connection, os.pidfd_open(process)]):
            os.kill(process, signal.SIGKILL)
        connection.sendall(str(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])).encode())
        os._exit(0)
