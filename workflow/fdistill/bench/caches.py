"""What `teacher_cache` stores, made of the benchmark's models and read as training reads it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fdistill.bench.clock import now
from fdistill.bench.work import Work
from fdistill.losses.objectives import TEACHER_SAMPLES, Objective
from fdistill.runtime.precision import autocast
from fdistill.sampling.teacher_cache import FILE, STATES, TOPK, TeacherCache, write_cache
from fdistill.training.micro_batches import TrainingData
from fdistill.training.settings import TrainingSettings


@dataclass(frozen=True)
class Stored:
    """The training data with the teacher's distributions on its samples, and what they cost."""

    data: TrainingData
    cost: dict[str, float]  # on disk, in bytes per token of the samples; in seconds per batch, to make it


@contextmanager
def stored(
    work: Work, terms: list[dict[str, Any]], settings: TrainingSettings, top_k: int
) -> Iterator[dict[str, Stored]]:
    """Each kind of cache by its name, in files that are there until the end; none where no loss would read it."""
    if not Objective.from_config(terms).needs_teacher_on(TEACHER_SAMPLES):
        yield {}
        return
    samples = [sequence for sampled in work.data.stored[TEACHER_SAMPLES] for sequence in sampled]
    tokens = sum(map(len, samples))
    found = {}
    with TemporaryDirectory() as folder:
        for kind in (STATES, TOPK):
            path = Path(folder, kind)
            precision = autocast(settings.precision, work.teacher.device.type)
            examples = (work.data.train.sources, samples)  # one sample of each
            began = now(work.teacher.device)
            write_cache(path, work.teacher, *examples, kind, top_k, settings.batch_size, precision, {"inputs": {}})
            spent = now(work.teacher.device) - began
            cost = {
                "bytes_per_token": (path / FILE).stat().st_size / tokens,
                "seconds_per_batch": spent * settings.batch_size / len(samples),
            }
            found[kind] = Stored(replace(work.data, cache=TeacherCache(path, {})), cost)
        yield found
