"""Teacher caches for the benchmark: written with the benchmark's models, and read as training reads them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fdistill.bench.clock import now
from fdistill.bench.workload import Workload
from fdistill.losses.objectives import Objective
from fdistill.losses.sequences import TEACHER_SAMPLES
from fdistill.runtime.precision import autocast
from fdistill.sampling.cache_kinds import STATES, TOPK
from fdistill.sampling.teacher_cache import FILE, TeacherCache, write_cache
from fdistill.training.micro_batches import TrainingData
from fdistill.training.settings import TrainingSettings


@dataclass(frozen=True)
class Stored:
    """The training data with a cache of the teacher's distributions on its samples, and what the cache costs."""

    data: TrainingData
    cost: dict[str, float]  # on disk, in bytes per token of the samples; to write, in seconds per batch


@contextmanager
def stored(
    workload: Workload, terms: list[dict[str, Any]], settings: TrainingSettings, top_k: int
) -> Iterator[dict[str, Stored]]:
    """Yield a cache of each kind, by its name, in temporary files; none if no loss of `terms` would read it."""
    if not Objective.from_config(terms).needs_teacher_on(TEACHER_SAMPLES):
        yield {}
        return
    samples = [sequence for samples in workload.data.stored[TEACHER_SAMPLES] for sequence in samples]
    tokens = sum(map(len, samples))
    caches = {}
    with TemporaryDirectory() as folder:
        for kind in (STATES, TOPK):
            path = Path(folder, kind)
            precision = autocast(settings.precision, workload.teacher.device.type)
            examples = (workload.data.train.sources, samples)  # there is one sample per source
            start = now(workload.teacher.device)
            write_cache(path, workload.teacher, *examples, kind, top_k, settings.batch_size, precision, {"inputs": {}})
            seconds = now(workload.teacher.device) - start
            cost = {
                "bytes_per_token": (path / FILE).stat().st_size / tokens,
                "seconds_per_batch": seconds * settings.batch_size / len(samples),
            }
            caches[kind] = Stored(replace(workload.data, cache=TeacherCache(path, {})), cost)
        yield caches
