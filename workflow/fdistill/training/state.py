"""The state of a training run, and checkpoints of it from which an interrupted run resumes."""

import hashlib
import json
import logging
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from fdistill.artifacts.atomic import atomic, remove
from fdistill.artifacts.files import sha256, write_json
from fdistill.artifacts.provenance import note_cost, take_over_costs
from fdistill.artifacts.shapes import parse
from fdistill.runtime.distributed import SINGLE_PROCESS, Ranks
from fdistill.runtime.errors import UserError
from fdistill.runtime.interruption import Interruption

log = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 2  # the newest, and the one before in case the newest is damaged
MAX_TIME_SHARE = 0.02  # of a run's time that saving at intervals may take


@dataclass
class TrainingState:
    """The progress of a run, besides weights and optimiser. `step` determines the next batch and random numbers."""

    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # since the last entry with a loss
    best_score: float = float("-inf")  # higher is better
    best_weights: dict[str, Tensor] | None = None
    evaluations_since_best: int = 0
    skipped: int = 0  # steps in a row
    halved: bool = False  # whether micro-batches are split in two
    # For `step_plan`:
    steps_of: dict[str, int] = field(default_factory=dict)  # the steps taken, by what they learnt from
    growths: int = 0  # of an adaptive student's share
    dev_loss: float | None = None  # of the last evaluation, for an adaptive share
    # The student's stored samples from the oldest on: rows of the training split with token ids
    replay: list[tuple[int, list[int]]] = field(default_factory=list)


class TrainingCheckpoints:
    """The checkpoints of one run in a folder: the last two, each a folder with `state.pt` and `manifest.json`.

    `identity` is everything that determines what the run computes, as JSON; checkpoints of another identity are not
    used. Used as a context manager, it delays interruptions (see `runtime.interruption`) until the next `save_if_due`.
    Rank 0 writes the checkpoints of all ranks; an interruption of one rank stops all.

    Without a folder nothing is saved, and an interruption ends the process at once.
    """

    def __init__(
        self,
        folder: Path | None = None,
        identity: dict[str, Any] | None = None,
        minutes: float | None = None,
        ranks: Ranks = SINGLE_PROCESS,
    ):
        """`minutes` is the time between two checkpoints; 0 saves at every step, None only when the run is interrupted.

        The interval is longer if saving takes more than `MAX_TIME_SHARE` of the time.
        """
        self.folder, self.minutes, self.ranks = folder, minutes, ranks
        self.identity = _flat(json.loads(json.dumps(identity or {})))
        self.interruption = Interruption()
        self.last_saved, self.save_seconds = time.monotonic(), 0.0

    def __enter__(self) -> "TrainingCheckpoints":
        if self.folder is not None:
            self.interruption.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self.folder is not None:
            self.interruption.__exit__(*error)

    def save_if_due(self, state: Callable[[], dict[str, Any]], where: str) -> None:
        """Save `state()` if a checkpoint is due. When a rank is interrupted, save it and raise `Stopped`.

        `where` is the position in the run, such as "step 3 of 9", for log and manifest.
        """
        if self.folder is None:
            return
        elapsed = time.monotonic() - self.last_saved
        interval = max(60 * self.minutes, self.save_seconds / MAX_TIME_SHARE) if self.minutes else None
        due = self.minutes == 0 or (interval is not None and elapsed >= interval)
        by_rank = self.ranks.all_gather({self.ranks.rank: (self.interruption.reason, due)})
        interruption = next((reason for reason, _ in by_rank.values() if reason is not None), None)
        if interruption or by_rank[0][1]:  # the clock of rank 0 decides for all
            start, run_state = time.monotonic(), state()
            if self.ranks.is_main:
                self._save(run_state, where)
            self.last_saved = time.monotonic()
            self.save_seconds = self.last_saved - start
        if interruption:
            # torchrun ends all ranks when the first one ends: wait until the checkpoint is written.
            self.ranks.all_gather({})
            self.interruption.reason = interruption
            self.interruption.stop(where)

    def latest(self) -> dict[str, Any] | None:
        """Return the newest undamaged state of this run, or None; checkpoints that are not used are logged."""
        if self.folder is None:
            return None
        take_over_costs(self.folder)
        for leftover in self.folder.glob(".*"):  # of an interrupted write
            shutil.rmtree(leftover, ignore_errors=True)
        for path in reversed(self._paths()):
            try:
                state = self._read(path)
            except UserError as error:
                log.warning("%s; not used", error)
                continue
            log.info("resuming from %s", path)
            return state
        return None

    def clear(self) -> None:
        """Remove the folder, when the run is complete."""
        if self.folder is not None and self.ranks.is_main:
            remove(self.folder)

    def _paths(self) -> list[Path]:
        return sorted((path for path in self.folder.glob("*") if path.name.isdigit()), key=lambda path: int(path.name))

    def _save(self, state: dict[str, Any], where: str) -> None:
        start, paths = time.monotonic(), self._paths()
        path = self.folder / f"{int(paths[-1].name) + 1 if paths else 1:06d}"
        try:
            with atomic(path, directory=True) as temporary:
                torch.serialization.set_crc32_options(False)  # they take most of the time; the SHA-256 replaces them
                torch.save(state, temporary / "state.pt")
                digest = sha256(temporary / "state.pt")
                write_json(temporary / "manifest.json", {"at": where, "sha256": digest, "identity": self.identity})
        except (UserError, OSError, RuntimeError) as error:  # a full disk, for which torch raises RuntimeError
            log.warning("%s: no checkpoint saved at %s (%s); the previous one is kept", path, where, error)
        else:
            for old in [*paths, path][:-KEPT_CHECKPOINTS]:
                shutil.rmtree(old, ignore_errors=True)
            note_cost(self.folder)
            log.info("%s: checkpoint saved at %s in %.1f s", path, where, time.monotonic() - start)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            manifest = parse((path / "manifest.json").read_text(encoding="utf-8"), {"identity": dict, "sha256": str})
            identity, expected, actual = manifest["identity"], manifest["sha256"], sha256(path / "state.pt")
        except (OSError, ValueError, UserError) as error:
            raise UserError(f"{path}: a damaged checkpoint ({error})") from None
        if actual != expected:
            raise UserError(f"{path}: a damaged checkpoint (state.pt differs from the hash in manifest.json)")
        different = [key for key in self.identity | identity if self.identity.get(key) != identity.get(key)]
        if different:
            raise UserError(f"{path}: a checkpoint of another run (different: {', '.join(different)})")
        try:
            return torch.load(path / "state.pt", map_location="cpu", weights_only=True)
        except UnpicklingError:
            raise UserError(
                f"{path}: a checkpoint that contains more than tensors and numbers; it is not opened"
            ) from None


def _flat(identity: dict[str, Any]) -> dict[str, Any]:
    """Flatten inner mappings one level, to keys `key.inner`, so that a message can name what differs."""
    flat = {}
    for key, value in identity.items():
        flat |= {f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value}
    return flat


NO_CHECKPOINTS = TrainingCheckpoints()


def weights_identity(module: Module) -> str:
    """Return the SHA-256 of a model's weights in memory."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().reshape(-1).numpy())
    return digest.hexdigest()


def code_identity() -> str:
    """Return the SHA-256 of the source of the script and of the library's loaded modules.

    A run does not resume with other code, which may compute other results.
    """
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] in ("__main__", "fdistill") and getattr(module, "__file__", None):
            digest.update(Path(module.__file__).read_bytes())
    return digest.hexdigest()
