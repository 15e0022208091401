"""What a model costs in use: size, latency, throughput and memory, by transformers and by CTranslate2.

All runtimes of a model, and the teacher by transformers as the reference, answer the same inputs in turn, in one
process: what else the machine does slows all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fdistill.artifacts.manifest import WEIGHTS
from fdistill.bench.clock import now
from fdistill.bench.machine import other_cpus
from fdistill.data.batches import source_batch
from fdistill.evaluation.deployment import FLOAT32, FULL, INT8
from fdistill.losses.inputs import IGNORE
from fdistill.models.language_model import LanguageModel
from fdistill.runtime.errors import UserError
from fdistill.sampling import ctranslate2_conversion as conversion
from fdistill.sampling.ctranslate2_engine import CTranslate2
from fdistill.sampling.engine_limits import TRANSFORMERS
from fdistill.sampling.engines import Engine, engine_for
from fdistill.sampling.sampler import SamplingConfig

REFERENCE = "reference"  # the teacher, by transformers
WEIGHTS_OF = {FLOAT32: conversion.FLOAT32, INT8: conversion.INT8}
REMEDY = "use transformers, or a family and decoding settings that CTranslate2 supports"
SEED = (0,)


@dataclass(frozen=True)
class Timing:
    """One batch: its seconds, inputs, and tokens of its outputs with EOS."""

    seconds: float
    inputs: int
    tokens: int


@dataclass(frozen=True)
class Contender:
    """A model with the engine that runs it, and for CTranslate2 its converted files."""

    model: LanguageModel
    engine: Engine
    files: Mapping[str, bytes] | None = None

    def answer(self, sources: list[list[int]], sampling: SamplingConfig) -> int:
        """Return the number of tokens of the outputs. The making of the batch is part of the answer."""
        samples = self.engine(source_batch(self.model, sources), sampling, SEED, range(len(sources)))
        return int((samples.labels != IGNORE).sum())


def parameters(model: LanguageModel) -> dict[str, int]:
    """Return the number of parameters, of those that are shared once: all, and those outside the embeddings.

    The embeddings are those of tokens and positions, and the output layer, which most models tie to them.
    """
    module, family = model.module, model.family
    embedding_modules = [*map(module.get_submodule, family.embeddings + family.constant)]
    embedded = {id(p) for part in (*embedding_modules, module.get_output_embeddings()) for p in part.parameters()}
    sizes = {id(p): p.numel() for p in module.parameters()}
    return {
        "all": sum(sizes.values()),
        "without_embeddings": sum(size for key, size in sizes.items() if key not in embedded),
    }


def contenders(
    model: LanguageModel, teacher: LanguageModel, sampling: SamplingConfig
) -> tuple[dict[str, Contender], dict[str, str]]:
    """Return what can run, by `RUNTIMES` and as REFERENCE the teacher, and why the other runtimes cannot."""
    made = {
        REFERENCE: Contender(teacher, engine_for(TRANSFORMERS, teacher, sampling)),
        FULL: Contender(model, engine_for(TRANSFORMERS, model, sampling)),
    }
    reasons = {}
    for runtime, weights in WEIGHTS_OF.items():
        try:
            if sampled := next((key for key in ("do_sample", "top_k") if sampling.options.get(key)), None):
                raise conversion.unsupported(f"{sampled}: its samples are not those of the study's decoding")
            engine = CTranslate2(model, weights)
            engine.check_search(sampling)
            made[runtime] = Contender(model, engine.sample_batch, engine.files)
        except UserError as error:
            reasons[runtime] = str(error)
    return made, reasons


def batches_of(count: int, size: int, number: int, seed: int) -> list[list[int]]:
    """Return `number` random batches of up to `size` of `count` inputs, each without repetition."""
    random = Random(seed)
    return [random.sample(range(count), min(size, count)) for _ in range(number)]


def timed_in_turn(
    made: Mapping[str, Contender],
    sources: Sequence[list[int]],
    batches: Sequence[Sequence[int]],
    sampling: SamplingConfig,
) -> dict[str, list[Timing]]:
    """Time every batch with every contender, in a random order; the first batch also warms up.

    A contender is the faster after one that has left its code and data in the caches, so that no fixed order is fair.
    """
    timings: dict[str, list[Timing]] = {name: [] for name in made}
    random = Random(0)
    for rows in [batches[0], *batches]:
        for name in random.sample(sorted(made), len(made)):
            contender, chosen = made[name], [sources[row] for row in rows]
            start = now(contender.model.device)
            tokens = contender.answer(chosen, sampling)
            timings[name].append(Timing(now(contender.model.device) - start, len(rows), tokens))
    return {name: of_name[1:] for name, of_name in timings.items()}


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the quartiles of the values."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return {"median": middle, "q1": low, "q3": high}


def summary(single: list[Timing], batched: list[Timing]) -> dict[str, Any]:
    """Return latency and throughput from the timings of single inputs and of batches."""
    return {
        "latency_ms": quartiles([1000 * timing.seconds for timing in single]),
        "output_tokens": float(np.mean([timing.tokens for timing in single])),
        "inputs_per_s": quartiles([timing.inputs / timing.seconds for timing in batched]),
        "tokens_per_s": quartiles([timing.tokens / timing.seconds for timing in batched]),
    }


def speedup(reference: list[Timing], timings: list[Timing]) -> dict[str, float]:
    """Return how many times as fast the same inputs were answered as by the reference: quartiles of the ratios."""
    return quartiles([one.seconds / other.seconds for one, other in zip(reference, timings, strict=True)])


def measure(
    made: Mapping[str, Contender],
    sources: Sequence[list[int]],
    sampling: SamplingConfig,
    inputs: int,
    batches: int,
    batch_size: int,
    seed: int,
) -> dict[str, Any]:
    """Return the times of every contender: {"runtimes": {name: ...}, "reference", "conditions", "other_cpus"}.

    `inputs` are answered one at a time, then `batches` of `batch_size`, chosen at random from `sources`. "other_cpus"
    is the mean number of CPUs that other programs used meanwhile, None where the system does not say.
    """
    used_by_others = other_cpus()
    rows = batches_of(len(sources), inputs, 1, seed)[0]
    single = timed_in_turn(made, sources, [[row] for row in rows], sampling)
    batched = timed_in_turn(made, sources, batches_of(len(sources), batch_size, batches, seed), sampling)
    others = used_by_others()
    found = {name: summary(single[name], batched[name]) for name in made}
    for name, of_name in found.items():
        of_name["speedup"] = {
            "latency": speedup(single[REFERENCE], single[name]),
            "throughput": speedup(batched[REFERENCE], batched[name]),
        }
    reference = found.pop(REFERENCE)
    return {
        "runtimes": found,
        "reference": {key: reference[key] for key in ("latency_ms", "inputs_per_s")},
        "conditions": {
            "latency_inputs": len(rows),
            "batches": batches,
            "batch_size": min(batch_size, len(sources)),
            "test_inputs": len(sources),
        },
        "other_cpus": others,
    }


def weights_bytes(contender: Contender, folder: Path) -> int:
    """Return the size of the file of weights: the converted one, or that in the model's folder."""
    if contender.files is None:
        return (folder / WEIGHTS).stat().st_size
    return len(contender.files["model.bin"])
