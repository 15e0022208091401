"""A SLURM cluster of one's own: real daemons, two nodes with GPUs that are only declared, one folder for all of it.

Ports, sockets, keys and configuration are its own, so that it neither needs nor disturbs a SLURM that runs here.
"""

import contextlib
import getpass
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from debian import FOLDERS, Unavailable, install, program

PROGRAMS = ["munged", "slurmctld", "slurmd", "srun", "sbatch", "scontrol"]
PACKAGES = ["munge", "slurm-wlm"]
NODES = ["one", "two"]  # on one machine: Debian's slurmd may run several times

# More CPUs and memory than this machine may have: `config_overrides` takes the node as it is declared.
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/finished
MinJobAge=7200
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
TaskProlog={folder}/bin/prolog
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=2
GresTypes=gpu
NodeName=DEFAULT CPUs=16 RealMemory=200000 Gres=gpu:a100:2 State=UNKNOWN
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={one}
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={two}
PartitionName=cpu Nodes=one,two MaxTime=1-00:00:00 Default=YES State=UP
PartitionName=gpu Nodes=one,two MaxTime=1-00:00:00 State=UP
"""
# Two files that every machine has stand for the devices: SLURM only looks whether they exist.
GPUS = """
AutoDetect=off
NodeName=one,two Name=gpu Type=a100 File=/dev/null
NodeName=one,two Name=gpu Type=a100 File=/dev/zero
"""


class Cluster:
    """Starts on entering; on leaving, whatever happened, nothing of it is left running."""

    def __enter__(self) -> "Cluster":
        install(PROGRAMS, PACKAGES)
        self.folder = Path(tempfile.mkdtemp(prefix="slurm"))  # short: a socket's path may have 107 characters
        self.folder.chmod(0o755)  # munged wants its socket's folder open to all
        self.daemons: list[subprocess.Popen] = []
        self.environment = os.environ | {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": os.pathsep.join([str(self.folder / "bin"), *FOLDERS]),
        }
        try:
            self._configure()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.left = []
        if len(self.daemons) == 4:
            self.ask("scancel", "--user", str(os.getuid()), check=False)
            self._wait_until(lambda: not self.ask("squeue", "--noheader", check=False), 20)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in reversed(self.daemons):
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._wait_until(lambda: not self.processes(), 10)
        self.left = self.processes()  # for the test: a cluster that ends by itself leaves none
        for pid in self.left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, *command: str, check: bool = True) -> str:
        """The standard output of one of SLURM's programs."""
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """SLURM's records of all jobs so far, in the order of submission."""
        shown = self.ask("scontrol", "--oneliner", "show", "job")
        return [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in shown.splitlines() if line.startswith("JobId=")]

    def finished(self) -> dict[str, dict[str, str]]:
        """The job completion log: what SLURM wrote down as each job ended, by job id."""
        lines = (self.folder / "finished").read_text().splitlines()
        return {entry["JobId"]: entry for entry in (dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines)}

    def visible_devices(self) -> dict[str, list[str]]:
        """CUDA_VISIBLE_DEVICES of each task that has started, by job id: the batch script's, then srun's."""
        seen: dict[str, list[str]] = {}
        for line in (self.folder / "tasks").read_text().splitlines():
            job, devices = line.split(":")
            seen.setdefault(job, []).append(devices)
        return seen

    def in_steps(self, job: str) -> bool:
        """Whether a job is past its beginning: srun runs something in it."""
        return len(self.visible_devices().get(job, [])) > 1

    def processes(self, job: str | None = None) -> list[int]:
        """Processes that belong to this cluster, or to one of its jobs: their command or environment says so."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                text = (process / "cmdline").read_bytes() + b"\0" + (process / "environ").read_bytes()
            except OSError:
                continue  # ended meanwhile, or another user's
            ours = os.fsencode(self.folder) in text and int(process.name) != os.getpid()
            if ours and (job is None or f"[{job}.".encode() in text or f"\0SLURM_JOB_ID={job}\0".encode() in text):
                found.append(int(process.name))
        return found

    def _configure(self) -> None:
        values = {
            "folder": self.folder,
            "host": socket.gethostname().split(".")[0],
            "user": getpass.getuser(),
        }
        with contextlib.ExitStack() as stack:
            for name in ("controller", *NODES):
                port = stack.enter_context(socket.socket())
                port.bind(("", 0))
                values[name] = port.getsockname()[1]
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(**values))
        (self.folder / "gres.conf").write_text(GPUS.format(**values))
        for name in ("state", "bin", *(f"spool.{node}" for node in NODES)):
            (self.folder / name).mkdir()
        # Within a job Snakemake's plugin hides SLURM's variables from srun, SLURM_CONF among them.
        srun = self.folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {program("srun")} "$@"\n')
        prolog = self.folder / "bin" / "prolog"  # runs as each task of a job does, right before it
        prolog.write_text(f'#!/bin/sh\necho "$SLURM_JOB_ID:$CUDA_VISIBLE_DEVICES" >> {self.folder}/tasks\n')
        for script in (srun, prolog):
            script.chmod(0o755)
        for name in ("finished", "tasks"):
            (self.folder / name).touch()
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))

    def _start(self) -> None:
        own = {"socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "munged.seed"}
        files = [f"--{option}={self.folder / name}" for option, name in own.items()]
        self._daemon("munged", "--foreground", f"--key-file={self.folder / 'munge.key'}", *files)
        self._ready("munged", lambda: (self.folder / "munge.socket").exists())
        self._daemon("slurmctld", "-D")
        self._ready("slurmctld", lambda: "UP" in self.ask("scontrol", "ping", check=False))
        for node in NODES:
            self._daemon("slurmd", "-D", "-N", node)
            state = ("sinfo", "--noheader", "--format=%T", "--nodes", node)
            self._ready("slurmd", lambda asked=state: "idle" in self.ask(*asked, check=False))

    def _daemon(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.out").open("w") as output:
            command = [program(name), *arguments]
            self.daemons.append(subprocess.Popen(command, stdout=output, stderr=output, env=self.environment))

    def _ready(self, name: str, is_ready) -> None:
        if (
            not self._wait_until(lambda: self.daemons[-1].poll() is not None or is_ready(), 30)
            or self.daemons[-1].poll()
        ):
            said = "".join(path.read_text()[-1000:] for path in sorted(self.folder.glob(f"{name}*.*o*")))
            raise Unavailable(f"{name} did not start here: {said.strip() or 'it said nothing'}")

    @staticmethod
    def _wait_until(is_done, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not (done := is_done()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return bool(done)
