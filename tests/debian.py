"""Programs from Debian's packages, which tests install when they are missing and root runs the tests."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

FOLDERS = [*os.get_exec_path(), "/usr/sbin", "/sbin"]  # daemons are in sbin, which a user's PATH may lack


class Unavailable(Exception):
    """A program cannot be had here, and why."""


def program(name: str) -> str | None:
    """Return the path of a program, None if it is not installed."""
    return shutil.which(name, path=os.pathsep.join(FOLDERS))


def install(programs: list[str], packages: list[str]) -> None:
    """Install `packages` if one of `programs` is missing, without starting the services that they bring.

    Raises Unavailable when that is not possible. Of several test processes one installs at a time.
    """
    with Path(tempfile.gettempdir(), f"fdistill-apt.{os.getuid()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for name in programs if program(name) is None]
        if not missing:
            return
        if os.geteuid() != 0 or program("apt-get") is None:
            raise Unavailable(
                f"no {', '.join(missing)} here, and only root can install {' and '.join(packages)} (apt-get)"
            )
        keep_stopped = Path("/usr/sbin/policy-rc.d")  # Debian's way to say that services are not to be started
        ours = not keep_stopped.exists()
        if ours:
            keep_stopped.write_text("#!/bin/sh\nexit 101\n")
            keep_stopped.chmod(0o755)
        try:
            for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
                done = subprocess.run(
                    ["apt-get", "--quiet", *arguments],
                    capture_output=True,
                    text=True,
                    timeout=1800,  # on a busy machine: an installation that is cut off would fail all later ones
                    env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                )
                if done.returncode:
                    raise Unavailable(f"apt-get {arguments[0]} failed: {done.stderr.strip()[-500:]}")
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"apt-get took longer than {error.timeout:.0f} s") from None
        finally:
            if ours:
                keep_stopped.unlink()
