"""Running a model over a whole split: decoding for the metrics, and drawing samples with their log-probabilities."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from fdistill.artifacts.batch_store import IN_MEMORY, BatchStore
from fdistill.data.batches import BatchSize, label_batch, sorted_batches, source_batch
from fdistill.losses.objectives import IGNORE
from fdistill.models.language_model import LanguageModel, Source
from fdistill.sampling.engine_limits import TRANSFORMERS
from fdistill.sampling.engines import engine_for
from fdistill.sampling.sampler import Samples, SamplingConfig, sequence_log_probs

OFFLINE = 0  # the first number of these draws' seeds; those of training have others


def _in_batches(
    what: str,
    lengths: Sequence[int],
    batch_size: BatchSize,
    work: Callable[[list[int], int], list],
    shards: BatchStore,
    repeats: int = 1,
) -> list:
    """`work(indices, repeat)`, one result per index, over all indices, each `repeats` times.

    The results are ordered by index, then by repeat. The batches are fixed by `lengths` and `batch_size`; shards of
    others are not used.
    """
    batches = list(sorted_batches(lengths, batch_size))
    shards = replace(shards, identity=shards.identity | {"batches": hashlib.sha256(str(batches).encode()).hexdigest()})

    def numbered(number: int) -> list:
        repeat, batch = divmod(number, len(batches))
        return work(batches[batch], repeat)

    results: dict[tuple[int, int], Any] = {}
    for number, done in enumerate(shards.run(what, [len(batch) for batch in batches] * repeats, numbered)):
        repeat, batch = divmod(number, len(batches))
        results |= {(index, repeat): result for index, result in zip(batches[batch], done, strict=True)}
    return [results[key] for key in sorted(results)]


def _generate_all(
    what: str,
    engine: str,
    model: LanguageModel,
    sources: Sequence[Sequence[int]],
    sampling: SamplingConfig,
    per_input: int,
    batch_size: BatchSize,
    seed: int,
    described: Callable[[Source, Samples], list],
    shards: BatchStore,
) -> list:
    """`described` of `per_input` sequences of every source, ordered by source, then by sample."""
    model.module.eval()
    engine_run = engine_for(engine, model, sampling)

    def work(indices: list[int], sample: int) -> list:
        source = source_batch(model, [sources[i] for i in indices])
        return described(source, engine_run(source, sampling, (OFFLINE, seed, sample), indices))

    return _in_batches(what, [len(s) for s in sources], batch_size, work, shards, per_input)


def _rows(samples: Samples) -> list[list[int]]:
    return [row[row != IGNORE].tolist() for row in samples.labels]


def _columns(rows: list, *names: str) -> dict[str, list]:
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def generate_texts(
    model: LanguageModel,
    tokenizer: PreTrainedTokenizerBase,
    sources: Sequence[Sequence[int]],
    decoding: dict[str, Any],
    batch_size: BatchSize,
    seed: int,
    shards: BatchStore = IN_MEMORY,
    engine: str = TRANSFORMERS,
) -> dict[str, list]:
    """Decode every source once; columns hypothesis, n_tokens, finished of `schemas.GENERATIONS`, in source order.

    `decoding` holds `max_new_tokens`, `num_beams` and further `GenerationConfig` settings; `seed` matters when it
    draws (`do_sample`).
    """
    options = dict(decoding)
    sampling = SamplingConfig(options.pop("max_new_tokens"), "beam", options)

    def described(_: Source, samples: Samples) -> list:
        tokens = _rows(samples)
        texts = [" ".join(text.split()) for text in tokenizer.batch_decode(tokens, skip_special_tokens=True)]
        return list(zip(texts, map(len, tokens), samples.finished.tolist(), strict=True))

    rows = _generate_all("generations", engine, model, sources, sampling, 1, batch_size, seed, described, shards)
    return _columns(rows, "hypothesis", "n_tokens", "finished")


def sample_sequences(
    model: LanguageModel,
    ids: Sequence[str],
    sources: Sequence[Sequence[int]],
    sampling: SamplingConfig,
    per_input: int,
    batch_size: BatchSize,
    seed: int,
    shards: BatchStore = IN_MEMORY,
    engine: str = TRANSFORMERS,
) -> dict[str, list]:
    """`per_input` sequences of every source as the columns of `schemas.SAMPLES`, ordered by input, then by sample.

    The log-probability is that of the whole sequence under the model itself, whatever the mode truncates and whichever
    engine draws.
    """

    def described(source: Source, samples: Samples) -> list:
        log_probs = samples.log_probs
        if log_probs is None:
            log_probs = sequence_log_probs(model, source, samples.labels).double().sum(-1)
        return list(zip(_rows(samples), log_probs.tolist(), samples.finished.tolist(), strict=True))

    rows = _generate_all("samples", engine, model, sources, sampling, per_input, batch_size, seed, described, shards)
    keys = {"id": [i for i in ids for _ in range(per_input)], "sample": [*range(per_input)] * len(ids)}
    return keys | _columns(rows, "tokens", "log_prob", "finished")


def token_means(
    model: LanguageModel,
    sources: Sequence[Sequence[int]],
    sequences: Sequence[Sequence[int]],
    batch_size: BatchSize,
    what: str,
    shards: BatchStore = IN_MEMORY,
) -> tuple[list[float], list[float]]:
    """-log q(y|x) of each (source, sequence) pair, in nats: per token (mean over its tokens) and per sequence."""
    model.module.eval()

    def work(indices: list[int], _: int) -> list:
        labels = label_batch([sequences[i] for i in indices], model.device)
        source = source_batch(model, [sources[i] for i in indices])
        nll = -sequence_log_probs(model, source, labels).double().sum(-1)
        counts = (labels != IGNORE).sum(-1)
        return [(value / count, value) for value, count in zip(nll.tolist(), counts.tolist(), strict=True)]

    lengths = [len(s) + len(y) for s, y in zip(sources, sequences, strict=True)]
    per_token, per_sequence = zip(*_in_batches(what, lengths, batch_size, work, shards), strict=True)
    return list(per_token), list(per_sequence)
