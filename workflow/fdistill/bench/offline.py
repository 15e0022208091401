"""The speed of offline sampling by each engine, beside a plain loop over batches with transformers' `generate`.

All are timed on the same inputs, in turn. An engine is timed as rule sample_teacher runs it: in batches of similar
lengths, as large as memory allows, and with the log-probability of every sequence, which the plain loop does not
compute. The time of an engine includes the conversion of the model, if it needs one.
"""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch

from fdistill.data.batches import BatchSize, source_batch
from fdistill.losses.inputs import IGNORE
from fdistill.models.language_model import LanguageModel
from fdistill.runtime.errors import UserError
from fdistill.sampling.batch_sizes import offline_batch_size
from fdistill.sampling.engine_limits import ENGINES
from fdistill.sampling.engines import engine_for
from fdistill.sampling.offline import sample_sequences
from fdistill.sampling.sampler import SamplingConfig, as_labels

PLAIN = "plain"
PLAIN_BATCH = 8
MODES = {
    "sampling": ({"do_sample": True, "top_k": 0}, "ancestral", {}),
    "beam search": ({"num_beams": 4, "early_stopping": True}, "beam", {"num_beams": 4, "early_stopping": True}),
}


def compare(
    model: LanguageModel,
    sources: Sequence[Sequence[int]],
    max_new_tokens: int,
    repeats: int,
    seed: int,
    gpu_memory: int | None = None,
    engines: Sequence[str] = ENGINES,
) -> dict[str, Any]:
    """Measure the sampled tokens per second in each of `MODES`, by the plain loop and by each engine.

    Each samples one sequence of at most `max_new_tokens` tokens per source; EOS counts as a token, padding does not.
    The result has the medians of `repeats` rounds, with the `ratio` to the plain loop. An engine that cannot run this
    model here is under `missing`, with the reason.
    """
    modes = {}
    for name, (settings, mode, options) in MODES.items():
        sampling = SamplingConfig(max_new_tokens, mode, options)
        plain_settings = settings | {"max_new_tokens": max_new_tokens}
        runs: dict[str, Callable[[int], int]] = {PLAIN: _plain_run(model, sources, plain_settings)}
        reasons = {engine: reason for engine in engines if (reason := missing(engine, model, sampling))}
        for engine in (engine for engine in engines if engine not in reasons):
            beams = options.get("num_beams", 1)
            rows = offline_batch_size(None, [model], engine, beams, max_new_tokens, gpu_memory)
            runs[engine] = _engine_run(model, sources, sampling, rows, engine)
        rounds = [{way: _timed(run, seed + number, model) for way, run in runs.items()} for number in range(repeats)]
        speeds = {way: median(tokens / seconds for tokens, seconds in (times[way] for times in rounds)) for way in runs}
        ways = {
            way: {
                "tokens_per_s": speed,
                "ratio": speed / speeds[PLAIN],
                "tokens": [times[way][0] for times in rounds],
                "seconds": [times[way][1] for times in rounds],
            }
            for way, speed in speeds.items()
        }
        modes[name] = {"ways": ways, "missing": reasons}
    return {"inputs": len(sources), "longest": max_new_tokens, "modes": modes}


def missing(engine: str, model: LanguageModel, sampling: SamplingConfig) -> str | None:
    """Return why `engine` cannot be measured here and what to do about it; None if it can."""
    try:
        engine_for(engine, model, sampling)
    except UserError as error:
        return str(error)
    return None


def _plain_run(
    model: LanguageModel, sources: Sequence[Sequence[int]], settings: dict[str, Any]
) -> Callable[[int], int]:
    """Return a function that samples for all sources with a seed, and returns the number of tokens."""

    def run(seed: int) -> int:
        torch.manual_seed(seed)
        model.module.eval()
        tokens = 0
        for start in range(0, len(sources), PLAIN_BATCH):
            batch = source_batch(model, sources[start : start + PLAIN_BATCH])
            output = model.module.generate(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **settings)
            prompt = 1 if model.family.is_encoder_decoder else batch.input_ids.shape[1]
            tokens += int((as_labels(output[:, prompt:], model.ends).labels != IGNORE).sum())
        return tokens

    return run


def _engine_run(
    model: LanguageModel,
    sources: Sequence[Sequence[int]],
    sampling: SamplingConfig,
    rows: BatchSize,
    engine: str,
) -> Callable[[int], int]:
    """Return a function that samples for all sources with a seed, and returns the number of tokens."""
    ids = [str(number) for number in range(len(sources))]

    def run(seed: int) -> int:
        return sum(map(len, sample_sequences(model, ids, sources, sampling, 1, rows, seed, engine=engine)["tokens"]))

    return run


def _timed(run: Callable[[int], int], seed: int, model: LanguageModel) -> tuple[int, float]:
    """Return the number of tokens of a run, and its seconds."""
    start = time.perf_counter()
    tokens = run(seed)
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return tokens, time.perf_counter() - start
