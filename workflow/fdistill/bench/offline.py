"""How fast sequences are drawn off line, beside the plain loop: transformers' `generate`, batch by batch, as they come.

Both are timed over the same inputs, in turn. Ours are the work of rule sample_teacher: batches of about equal lengths,
as large as memory allows, and every sequence's log-probability under the model, which the plain loop does not give. An
engine that has to convert the model first does so in its time.
"""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch

from fdistill.data.batches import BatchSize, source_batch
from fdistill.losses.objectives import IGNORE
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
    longest: int,
    repeats: int,
    seed: int,
    gpu_memory: int | None = None,
    engines: Sequence[str] = ENGINES,
) -> dict[str, Any]:
    """Drawn tokens per second, EOS counted and padding not, by each of `MODES`: plain and by each engine.

    One sequence of at most `longest` tokens for each source. Of `repeats` rounds, in which everyone has a turn, the
    median; `ratio` is to the plain loop. An engine that cannot run here, or not this model, is `missing`, and why.
    """
    modes = {}
    for name, (settings, mode, options) in MODES.items():
        sampling = SamplingConfig(longest, mode, options)
        runs: dict[str, Callable[[int], int]] = {PLAIN: _plain(model, sources, settings | {"max_new_tokens": longest})}
        reasons = {engine: reason for engine in engines if (reason := missing(engine, model, sampling))}
        for engine in (engine for engine in engines if engine not in reasons):
            rows = offline_batch_size(None, [model], engine, options.get("num_beams", 1), longest, gpu_memory)
            runs[engine] = _ours(model, sources, sampling, rows, engine)
        rounds = [{way: _timed(run, seed + turn, model) for way, run in runs.items()} for turn in range(repeats)]
        speeds = {way: median(tokens / seconds for tokens, seconds in (each[way] for each in rounds)) for way in runs}
        ways = {
            way: {
                "tokens_per_s": speed,
                "ratio": speed / speeds[PLAIN],
                "tokens": [each[way][0] for each in rounds],
                "seconds": [each[way][1] for each in rounds],
            }
            for way, speed in speeds.items()
        }
        modes[name] = {"ways": ways, "missing": reasons}
    return {"inputs": len(sources), "longest": longest, "modes": modes}


def missing(engine: str, model: LanguageModel, sampling: SamplingConfig) -> str | None:
    """Why it cannot be measured here, and what to do about it; None when it can."""
    try:
        engine_for(engine, model, sampling)
    except UserError as error:
        return str(error)
    return None


def _plain(model: LanguageModel, sources: Sequence[Sequence[int]], settings: dict[str, Any]) -> Callable[[int], int]:
    """The number of tokens that one pass draws, given its seed."""

    def run(seed: int) -> int:
        torch.manual_seed(seed)
        model.module.eval()
        tokens = 0
        for begin in range(0, len(sources), PLAIN_BATCH):
            batch = source_batch(model, sources[begin : begin + PLAIN_BATCH])
            output = model.module.generate(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **settings)
            prompt = 1 if model.family.is_encoder_decoder else batch.input_ids.shape[1]
            tokens += int((as_labels(output[:, prompt:], model.eos_token_id).labels != IGNORE).sum())
        return tokens

    return run


def _ours(
    model: LanguageModel,
    sources: Sequence[Sequence[int]],
    sampling: SamplingConfig,
    rows: BatchSize,
    engine: str,
) -> Callable[[int], int]:
    ids = [str(number) for number in range(len(sources))]

    def run(seed: int) -> int:
        return sum(map(len, sample_sequences(model, ids, sources, sampling, 1, rows, seed, engine=engine)["tokens"]))

    return run


def _timed(run: Callable[[int], int], seed: int, model: LanguageModel) -> tuple[int, float]:
    began = time.perf_counter()
    tokens = run(seed)
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return tokens, time.perf_counter() - began
