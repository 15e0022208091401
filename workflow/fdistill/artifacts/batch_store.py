"""Offline work over a split, batch by batch: distributed over the ranks, and stored so that a new run can resume.

The result of a batch may depend on nothing but the batch. It is then the same on every rank and however often the run
was interrupted, and so is the result of the whole split.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fdistill.artifacts.atomic import remove
from fdistill.artifacts.provenance import note_cost, take_over_costs
from fdistill.artifacts.sealed import read_sealed, write_sealed
from fdistill.runtime.distributed import SINGLE_PROCESS, Ranks
from fdistill.runtime.interruption import Interruption
from fdistill.runtime.progress import Progress

log = logging.getLogger(__name__)

# Finished batches are written to a file after this many inputs or seconds: the most that an interruption costs.
INPUTS_PER_FILE = 256
SECONDS_PER_FILE = 60.0


@dataclass(frozen=True)
class BatchStore:
    """Finished batches in `folder`, from which an interrupted run resumes, and the ranks that compute them.

    Without a folder nothing is stored. `identity` holds JSON values and says what the batches are made from: models,
    split, settings, seed. A file that is damaged or has another identity is not used.
    """

    folder: Path | None = None
    identity: dict[str, Any] = field(default_factory=dict)
    ranks: Ranks = SINGLE_PROCESS
    writes: bool = True  # False where another process computes and writes the same batches
    progress: Progress | None = None  # of all runs together; by default, each run reports its own

    def run(self, name: str, sizes: Sequence[int], compute: Callable[[int], list]) -> list[list]:
        """Return the results of `compute(0)`, `compute(1)`, ... in order, all of them on every rank.

        `name` distinguishes these batches from others in the same folder, and appears in the log. `sizes` holds the
        number of inputs of each batch. A result consists of JSON values; a tuple becomes a list. A run with a folder
        that receives a signal (see `interruption`) writes its finished batches and exits with status 75.
        """
        own_numbers = range(self.ranks.rank, len(sizes), self.ranks.world_size)
        results = {number: result for number, result in self._read(name).items() if number in own_numbers}
        remaining = [number for number in own_numbers if number not in results]
        if results:
            finished, total = (sum(sizes[number] for number in numbers) for numbers in (results, own_numbers))
            log.info("%s: %d of %d inputs were finished by an interrupted run", name, finished, total)
        progress = self.progress or Progress(name, sum(sizes[number] for number in remaining))
        unsaved: dict[int, list] = {}
        last_save = time.monotonic()
        interruption = Interruption()
        with interruption if self.folder is not None else nullcontext():  # nothing to save: a signal ends the process
            for number in remaining:
                unsaved[number] = results[number] = compute(number)
                progress.advance(sizes[number])
                is_full = sum(sizes[unsaved_number] for unsaved_number in unsaved) >= INPUTS_PER_FILE
                if is_full or interruption.reason or time.monotonic() - last_save >= SECONDS_PER_FILE:
                    self._write(name, unsaved)
                    unsaved, last_save = {}, time.monotonic()
                if interruption.reason:
                    interruption.stop(f"{name}, {progress.done} of {progress.total}")
            self._write(name, unsaved)
        if self.progress is None:
            progress.close()
        results = self.ranks.all_gather(results)
        return [results[number] for number in range(len(sizes))]

    def remove(self) -> None:
        """Delete the folder, once the output that the batches were stored for is written."""
        if self.folder is not None:
            remove(self.folder)

    def _write(self, name: str, batches: dict[int, list]) -> None:
        if self.folder is not None and self.writes and batches:
            note_cost(self.folder)
            path = self.folder / f"{name}-{min(batches):08}.json"
            write_sealed(path, {"identity": self.identity, "batches": batches})

    def _read(self, name: str) -> dict[int, list]:
        """The stored results by batch number."""
        results: dict[int, list] = {}
        if self.folder is None:
            return results
        take_over_costs(self.folder)
        for path in sorted(self.folder.glob(f"{name}-*.json")):
            try:
                stored = read_sealed(path, {"identity": dict, "batches": {...: list}})
                batches = {int(number): results for number, results in stored["batches"].items()}
            except (OSError, ValueError) as error:
                log.warning("%s is damaged (%s); its batches are computed again", path, error)
                continue
            if differing := [key for key, value in self.identity.items() if stored["identity"].get(key) != value]:
                log.warning(
                    "%s belongs to another run (%s); its batches are computed again", path, ", ".join(differing)
                )
                continue
            results |= batches
        return results


IN_MEMORY = BatchStore()


def store_for_script(args: argparse.Namespace, identity: dict[str, Any], ranks: Ranks, is_sharded: bool) -> BatchStore:
    """Return the store of a script with the flag `--shards`.

    `identity` says what the script's files contain; its other arguments are added to it. When a model is FSDP-sharded,
    every rank runs it on the same batches, so that the batches are not distributed.
    """
    settings = {name: value for name, value in vars(args).items() if not isinstance(value, Path)}
    identity = json.loads(json.dumps(settings | identity))
    if is_sharded:
        return BatchStore(args.shards, identity, writes=ranks.is_main)
    return BatchStore(args.shards, identity, ranks)
