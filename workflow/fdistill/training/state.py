"""What a training run needs to go on as if it had never stopped, and the folder in which it is kept."""

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

from fdistill.artifacts.atomic import atomic
from fdistill.artifacts.files import sha256, write_json
from fdistill.artifacts.provenance import note_cost, take_over_costs
from fdistill.runtime.distributed import SINGLE_PROCESS, Ranks
from fdistill.runtime.errors import UserError
from fdistill.runtime.interruption import Interruption

log = logging.getLogger(__name__)

KEPT = 2  # the newest, and the one before in case that is damaged
SHARE = 0.02  # of the time, at most, goes into those that are saved by the clock


@dataclass
class State:
    """Where a run stands, besides weights, optimiser and random numbers. Its place in the data follows from `step`."""

    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # since the last evaluation
    best: float = float("-inf")
    best_weights: dict[str, Tensor] | None = None
    waited: int = 0  # evaluations without a better one
    skipped: int = 0  # steps in a row
    halved: bool = False  # whether micro-batches are split in two


class Checkpoints:
    """The states of one run in a folder: the last two, each a folder with `state.pt` and `manifest.json`.

    `identity` is everything that decides what the run computes, as JSON: a state of another identity is not used.
    Within its context, being told to stop (see `interruption`) waits for `keep`. Without a folder nothing is kept, and
    who is told to stop does so at once. The first of `ranks` writes for all, and all stop where one is told to.
    """

    def __init__(
        self,
        folder: Path | None = None,
        identity: dict[str, Any] | None = None,
        minutes: float | None = None,
        ranks: Ranks = SINGLE_PROCESS,
    ):
        """`minutes` between two states, or more where saving one takes long: see `SHARE`. 0 saves at every step, None
        only when the run is told to stop.
        """
        self.folder, self.minutes, self.ranks = folder, minutes, ranks
        self.identity = _flat(json.loads(json.dumps(identity or {})))
        self.interruption = Interruption()
        self.saved, self.took = time.monotonic(), 0.0

    def __enter__(self) -> "Checkpoints":
        if self.folder is not None:
            self.interruption.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self.folder is not None:
            self.interruption.__exit__(*error)

    def keep(self, state: Callable[[], dict[str, Any]], where: str) -> None:
        """Save `state()` when it is time to; when told to stop, save it and end the script (`Stopped`)."""
        if self.folder is None:
            return
        since = time.monotonic() - self.saved
        due = self.minutes == 0 or (self.minutes and since >= max(60 * self.minutes, self.took / SHARE))
        said = self.ranks.all_gather({self.ranks.rank: (self.interruption.reason, due)})
        told = next((reason for reason, _ in said.values() if reason is not None), None)
        if told or said[0][1]:  # by the first one's clock
            began, whole = time.monotonic(), state()
            if self.ranks.is_main:
                self._save(whole, where)
            self.saved = time.monotonic()
            self.took = self.saved - began
        if told:
            self.ranks.all_gather({})  # the first that ends has torchrun end the others: not before it is written
            self.interruption.reason = told
            self.interruption.stop(where)

    def latest(self) -> dict[str, Any] | None:
        """The newest state that is whole and of this run; each one that is not is named in the log."""
        if self.folder is None:
            return None
        take_over_costs(self.folder)
        for leftover in self.folder.glob(".*"):  # of a write that was cut off
            shutil.rmtree(leftover, ignore_errors=True)
        for path in reversed(self._paths()):
            try:
                state = self._read(path)
            except UserError as error:
                log.warning("%s; not used", error)
                continue
            log.info("goes on from %s", path)
            return state
        return None

    def clear(self) -> None:
        """Remove the folder: the run has its results."""
        if self.folder is not None and self.ranks.is_main:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _paths(self) -> list[Path]:
        return sorted((path for path in self.folder.glob("*") if path.name.isdigit()), key=lambda path: int(path.name))

    def _save(self, state: dict[str, Any], where: str) -> None:
        began, paths = time.monotonic(), self._paths()
        path = self.folder / f"{int(paths[-1].name) + 1 if paths else 1:06d}"
        try:
            with atomic(path, directory=True) as temporary:
                torch.serialization.set_crc32_options(False)  # takes most of the time, and the SHA-256 says more
                torch.save(state, temporary / "state.pt")
                digest = sha256(temporary / "state.pt")
                write_json(temporary / "manifest.json", {"at": where, "sha256": digest, "identity": self.identity})
        except (UserError, OSError, RuntimeError) as error:  # a full disk; torch's error for it is a RuntimeError
            log.warning("%s: no checkpoint at %s (%s); the last one stays", path, where, error)
        else:
            for old in [*paths, path][:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
            note_cost(self.folder)
            log.info("%s: kept at %s in %.1f s", path, where, time.monotonic() - began)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
            identity, expected, found = dict(manifest["identity"]), manifest["sha256"], sha256(path / "state.pt")
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}: a damaged checkpoint ({type(error).__name__}: {error})") from None
        if found != expected:
            raise UserError(f"{path}: a damaged checkpoint (state.pt is not what its manifest says)")
        other = [key for key in self.identity | identity if self.identity.get(key) != identity.get(key)]
        if other:
            raise UserError(f"{path}: a checkpoint of another run (not the same: {', '.join(other)})")
        try:
            return torch.load(path / "state.pt", map_location="cpu", weights_only=True)
        except UnpicklingError:
            raise UserError(f"{path}: a checkpoint that holds more than numbers, which is not opened") from None


def _flat(identity: dict[str, Any]) -> dict[str, Any]:
    """Mappings one level down as `key.inner`, so that a message can say what differs."""
    flat = {}
    for key, value in identity.items():
        flat |= {f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value}
    return flat


NOWHERE = Checkpoints()


def weights_identity(module: Module) -> str:
    """SHA-256 of a model's weights in memory, wherever they came from."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().reshape(-1).numpy())
    return digest.hexdigest()


def code_identity() -> str:
    """SHA-256 of the script and those of the library's modules that it has loaded: an edit may change the results."""
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] in ("__main__", "fdistill") and getattr(module, "__file__", None):
            digest.update(Path(module.__file__).read_bytes())
    return digest.hexdigest()
