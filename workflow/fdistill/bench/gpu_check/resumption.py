"""Whether a training that was killed and resumed ends with the bytes of one that was not."""

import multiprocessing
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from fdistill.artifacts.files import sha256
from fdistill.bench.gpu_check.case import Case, redirect, run_script
from fdistill.bench.gpu_check.outcome import Measured
from fdistill.bench.gpu_check.stages import distill_arguments
from fdistill.models.location import WEIGHTS

METHOD = "js"  # it uses stored samples, and draws new ones in every step
KILLED_AFTER = 3  # checkpoints, one a step
# Where two uninterrupted runs differ, what is promised of a resumed one: weights that differ no more than by rounding,
# relative to all weights in the Euclidean norm.
ROUNDING = {"fp32": 1e-4, "bf16": 1e-2}
UNSTEADY = "determinis"  # in torch's warnings about operations without one order of summation


def resumed(case: Case) -> Measured:
    """Kill a training, resume it in a fresh process, and compare weights and history with an uninterrupted one's.

    If they differ, a second uninterrupted training shows whether the device computes the same bytes at all.
    """
    checkpoints = case.path("checkpoints")
    saving = ["--checkpoints", checkpoints, "--checkpoint-minutes", 0]
    for name in ("uninterrupted", "resumed", "repeated"):
        shutil.rmtree(case.path(name), ignore_errors=True)
    whole = _Run(case, "uninterrupted", distill_arguments(case, METHOD, "uninterrupted"))
    whole.finish()
    killed = _Run(case, "resumed", [*distill_arguments(case, METHOD, "resumed"), *saving])
    killed.kill_at(checkpoints / f"{KILLED_AFTER:06d}")
    killed = _Run(case, "resumed", [*distill_arguments(case, METHOD, "resumed"), *saving])
    killed.finish()
    if "resuming from" not in killed.log.read_text():
        raise AssertionError(f"the killed run did not resume:\n{killed.log.read_text()}")
    if _bytes(case, "resumed") == _bytes(case, "uninterrupted"):
        return Measured("weights, resumed against uninterrupted, relative", 0.0, 0.0, "the same bytes")
    difference = _difference(case, "resumed", "uninterrupted")
    repeated = _Run(case, "repeated", distill_arguments(case, METHOD, "repeated"))
    repeated.finish()
    if _bytes(case, "repeated") == _bytes(case, "uninterrupted"):
        raise AssertionError(f"two uninterrupted runs have the same bytes, a resumed one is {difference:.1e} off")
    warned = dict.fromkeys(line.strip() for line in repeated.log.read_text().splitlines() if UNSTEADY in line)
    said = "; ".join(warned) or "torch names no operation"
    caveat = f"not the same bytes, nor are those of two uninterrupted runs: {said}"
    bound = ROUNDING[case.precision]
    return Measured("weights, resumed against uninterrupted, relative", difference, bound, caveat=caveat)


class _Run:
    """A training in a process of its own, as every job of the workflow is one."""

    def __init__(self, case: Case, name: str, arguments: Iterable[Any]):
        self.log = case.path(f"{name}.log")
        process = multiprocessing.get_context("forkserver").Process
        self.process = process(target=_train, args=(list(map(str, arguments)), str(self.log)))
        self.process.start()

    def finish(self) -> None:
        """Wait for its end; AssertionError with its log if it fails."""
        self.process.join()
        if self.process.exitcode:
            raise AssertionError(f"exit status {self.process.exitcode}:\n{self.log.read_text()}")

    def kill_at(self, checkpoint: Path) -> None:
        """Kill it once it has written a checkpoint; AssertionError if it ends before."""
        while self.process.is_alive() and not checkpoint.exists():
            time.sleep(0.002)
        self.process.kill()
        self.process.join()
        if self.process.exitcode != -9:
            raise AssertionError(f"it ended before it was killed:\n{self.log.read_text()}")


def _train(arguments: list[str], log: str) -> None:
    redirect(log)
    run_script("distill", arguments)


def _bytes(case: Case, name: str) -> list[str]:
    return [sha256(case.path(f"{name}/{file}")) for file in (f"model/{WEIGHTS}", "train.jsonl")]


def _difference(case: Case, name: str, other: str) -> float:
    ours, others = (load_file(case.path(f"{each}/model/{WEIGHTS}")) for each in (name, other))
    squares = [(((ours[key] - others[key]).norm() ** 2).item(), (others[key].norm() ** 2).item()) for key in ours]
    apart, whole = map(sum, zip(*squares, strict=True))
    return (apart / whole) ** 0.5
