"""Work over a split, batch by batch: dealt out among workers, and kept in shards so that a run cut off goes on.

A batch's result may depend on nothing but the batch. It is then the same whoever computes it and however often the
run was interrupted, and so is the whole.
"""

import argparse
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.provenance import note_cost, take_over_costs
from fdistill.runtime.distributed import SINGLE_PROCESS, Ranks
from fdistill.runtime.interruption import Interruption
from fdistill.runtime.progress import Progress

log = logging.getLogger(__name__)

# A shard is closed when it has this many inputs, or when it has been open for this long: what an interruption costs.
SHARD_INPUTS = 256
SHARD_SECONDS = 60.0


@dataclass(frozen=True)
class Shards:
    """Where finished batches are kept until all are done (nowhere without a folder), and who works on them.

    `identity`, as JSON has it, says what they are made from: models, split, settings, seed. A shard of another identity
    and a damaged one are not used; the new one takes its place, or it goes with the folder.
    """

    folder: Path | None = None
    identity: dict[str, Any] = field(default_factory=dict)
    ranks: Ranks = SINGLE_PROCESS
    writes: bool = True  # or another process does, with the same results

    def run(self, what: str, sizes: Sequence[int], work: Callable[[int], list]) -> list[list]:
        """The results of `work(0)`, `work(1)`, ... in order, for every worker all of them.

        `sizes` holds the number of inputs of each batch. A result is made of what JSON has, tuples being lists.
        `what` tells this work from other work that is kept in the same folder, and names it in the log. When it is told
        to stop (see `interruption`), a run that has a folder writes what it has done and ends with status 75.
        """
        mine = range(self.ranks.rank, len(sizes), self.ranks.world_size)
        done = {number: result for number, result in self._read(what).items() if number in mine}
        todo = [number for number in mine if number not in done]
        if done:
            there, share = (sum(sizes[number] for number in numbers) for numbers in (done, mine))
            log.info("%s: %d of %d are there from a run that was cut off", what, there, share)
        progress = Progress(what, sum(sizes[number] for number in todo))
        shard: dict[int, list] = {}
        opened = time.monotonic()
        interruption = Interruption()
        with interruption if self.folder is not None else nullcontext():  # who keeps nothing has nothing to save
            for number in todo:
                shard[number] = done[number] = work(number)
                progress.advance(sizes[number])
                full = sum(sizes[each] for each in shard) >= SHARD_INPUTS
                if full or interruption.reason or time.monotonic() - opened >= SHARD_SECONDS:
                    self._write(what, shard)
                    shard, opened = {}, time.monotonic()
                if interruption.reason:
                    interruption.stop(f"{what}, {progress.done} of {progress.total}")
            self._write(what, shard)
        progress.close()
        done = self.ranks.all_gather(done)
        return [done[number] for number in range(len(sizes))]

    def remove(self) -> None:
        """Forget the shards: what they were kept for is written."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, what: str, shard: dict[int, list]) -> None:
        if self.folder is not None and self.writes and shard:
            note_cost(self.folder)
            content = json.dumps({"identity": self.identity, "batches": list(shard.items())})
            write_text(self.folder / f"{what}-{min(shard):08}.json", f"{_digest(content.encode())}\n{content}")

    def _read(self, what: str) -> dict[int, list]:
        done: dict[int, list] = {}
        if self.folder is None:
            return done
        take_over_costs(self.folder)
        for path in sorted(self.folder.glob(f"{what}-*.json")):
            digest, _, content = path.read_bytes().partition(b"\n")
            if digest.decode(errors="replace") != _digest(content):
                log.warning("%s is damaged: its inputs are done again", path)
                continue
            shard = json.loads(content)
            if other := [key for key, value in self.identity.items() if shard["identity"].get(key) != value]:
                log.warning("%s belongs to another run (%s): its inputs are done again", path, ", ".join(other))
                continue
            done |= dict(shard["batches"])
        return done


IN_MEMORY = Shards()


def of_run(args: argparse.Namespace, identity: dict[str, Any], ranks: Ranks) -> Shards:
    """The shards of a script's run: `identity` says what its files are, its other arguments are taken as they are.

    Workers that share a model's weights are not given a part each: all of them run it, on the same batches.
    """
    settings = {name: value for name, value in vars(args).items() if not isinstance(value, Path)}
    identity = json.loads(json.dumps(settings | identity))
    if args.shard_teacher:
        return Shards(args.shards, identity, writes=ranks.is_main)
    return Shards(args.shards, identity, ranks)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
