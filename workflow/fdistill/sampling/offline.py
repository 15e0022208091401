"""Offline work over a whole split: decoding for the metrics, sampling with log-probabilities, and scoring."""

import argparse
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from fdistill.artifacts.batch_store import IN_MEMORY, BatchStore, store_for_script
from fdistill.artifacts.manifest import versions
from fdistill.data.batches import BatchSize, label_batch, sorted_batches, source_batch
from fdistill.data.encoding import Encoded
from fdistill.data.lines import tidy_lines
from fdistill.losses.inputs import IGNORE
from fdistill.models.language_model import LanguageModel, Source
from fdistill.models.tokenization import decode
from fdistill.runtime.distributed import Ranks
from fdistill.sampling.batch_sizes import offline_batch_size
from fdistill.sampling.engine_limits import TRANSFORMERS
from fdistill.sampling.engines import Engine, engine_for, version_of
from fdistill.sampling.sampler import Samples, SamplingConfig, sequence_log_probs

OFFLINE = 0  # the first number of the seeds of offline samples; on-policy samples have others


def map_batches(
    what: str,
    lengths: Sequence[int],
    batch_size: BatchSize,
    process: Callable[[list[int], int], list],
    store: BatchStore,
    repeats: int = 1,
    each: int = 1,
) -> list:
    """Apply `process(indices, repeat)` to batches of all indices, each `repeats` times.

    It returns `each` results per index, side by side. Returns all of them ordered by index, then by repeat. `lengths`
    and `batch_size` determine the batches: stored results of other batches are not used. `what` names the work in log
    and store.
    """
    batches = list(sorted_batches(lengths, batch_size))
    store = replace(store, identity=store.identity | {"batches": hashlib.sha256(str(batches).encode()).hexdigest()})

    def process_batch(number: int) -> list:
        repeat, batch = divmod(number, len(batches))
        return process(batches[batch], repeat)

    results: dict[tuple[int, ...], Any] = {}
    sizes = [len(batch) for batch in batches] * repeats
    for number, batch_results in enumerate(store.run(what, sizes, process_batch)):
        repeat, batch = divmod(number, len(batches))
        keys = [(index, repeat, place) for index in batches[batch] for place in range(each)]
        results |= dict(zip(keys, batch_results, strict=True))
    return [results[key] for key in sorted(results)]


def _generate_all(
    what: str,
    engine: str | Engine,
    model: LanguageModel,
    sources: Sequence[Sequence[int]],
    sampling: SamplingConfig,
    per_input: int,
    batch_size: BatchSize,
    seed: int,
    as_rows: Callable[[Source, Samples], list],
    store: BatchStore,
) -> list:
    """Sample `per_input` sequences of every source; return their rows, made by `as_rows`, by source, then by sample.

    `per_input` is a multiple of `sampling.per_source`; each repeat samples anew. Raises UserError for a search with
    more beams than the vocabulary has tokens.
    """
    sampling.check_vocabulary(model)
    model.module.eval()
    sample = engine_for(engine, model, sampling) if isinstance(engine, str) else engine

    def process(indices: list[int], number: int) -> list:
        source = source_batch(model, [sources[i] for i in indices])
        return as_rows(source, sample(source, sampling, (OFFLINE, seed, number), indices))

    each = sampling.per_source
    return map_batches(what, [len(s) for s in sources], batch_size, process, store, per_input // each, each)


def _token_lists(samples: Samples) -> list[list[int]]:
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
    store: BatchStore = IN_MEMORY,
    engine: str | Engine = TRANSFORMERS,
) -> dict[str, list]:
    """Decode every source once; return columns hypothesis, n_tokens, finished of `schemas.GENERATIONS`, by source.

    `decoding` holds `max_new_tokens`, `num_beams` and further `GenerationConfig` settings; `seed` matters with
    `do_sample`. `engine` is the name of one, or one that has been made. Raises UserError for settings that it does
    not support.
    """
    sampling = SamplingConfig.from_decoding(decoding)

    def as_rows(_: Source, samples: Samples) -> list:
        tokens = _token_lists(samples)
        texts = map(tidy_lines, decode(tokenizer, tokens))
        return list(zip(texts, map(len, tokens), samples.finished.tolist(), strict=True))

    rows = _generate_all("generations", engine, model, sources, sampling, 1, batch_size, seed, as_rows, store)
    return _columns(rows, "hypothesis", "n_tokens", "finished")


def sample_sequences(
    model: LanguageModel,
    ids: Sequence[str],
    sources: Sequence[Sequence[int]],
    sampling: SamplingConfig,
    per_input: int,
    batch_size: BatchSize,
    seed: int,
    store: BatchStore = IN_MEMORY,
    engine: str = TRANSFORMERS,
) -> dict[str, list]:
    """Sample `per_input` sequences of every source; return the columns of `schemas.SAMPLES`, by input, then by sample.

    The log-probability is that of the whole sequence under the model itself in nats, whatever the mode truncates and
    whichever engine samples. Raises UserError for settings that `engine` does not support.
    """

    def as_rows(source: Source, samples: Samples) -> list:
        log_probs = samples.log_probs
        if log_probs is None:
            # One sequence per source at a time, as many as the batch size is made for.
            parts = (samples.labels[place :: sampling.per_source] for place in range(sampling.per_source))
            log_probs = torch.stack([sequence_log_probs(model, source, labels) for labels in parts], 1)
            log_probs = log_probs.double().sum(-1).flatten()
        return list(zip(_token_lists(samples), log_probs.tolist(), samples.finished.tolist(), strict=True))

    rows = _generate_all("samples", engine, model, sources, sampling, per_input, batch_size, seed, as_rows, store)
    keys = {"id": [i for i in ids for _ in range(per_input)], "sample": [*range(per_input)] * len(ids)}
    return keys | _columns(rows, "tokens", "log_prob", "finished")


def sample_split(
    args: argparse.Namespace,
    ranks: Ranks,
    model: LanguageModel,
    encoded: Encoded,
    settings: dict[str, Any],
    longest: int,
    made_from: dict[str, Any],
    write: Callable[[dict[str, list], dict[str, Any]], None],
) -> None:
    """Sample the sequences of a split in a script; the first rank lets `write` store the columns with their identity.

    `args` has the flags of `cli.add_offline_flags`, and `settings` is section `offline_sampling`. `longest` is
    text.max_target_tokens. The identity is `made_from`, what the sequences are made from, and how they are sampled.
    """
    settings = dict(settings)
    per_input, batch_size, engine = (settings.pop(key) for key in ("per_input", "batch_size", "engine"))
    sampling = SamplingConfig.from_settings(settings, longest, per_input)
    identity = made_from | {
        "mode": sampling.mode,
        "options": str(sampling.options),
        "max_new_tokens": str(sampling.max_new_tokens),
        "seed": str(args.seed),
        "engine": engine,
    }
    store = store_for_script(args, identity | {"versions": versions() | version_of(engine)}, ranks, model.is_sharded)
    beams = sampling.options.get("num_beams", 1)
    batch_size = offline_batch_size(batch_size, [model], engine, beams, sampling.max_new_tokens, args.gpu_memory)
    columns = sample_sequences(
        model, encoded.ids, encoded.sources, sampling, per_input, batch_size, args.seed, store, engine
    )
    if ranks.is_main:
        write(columns, identity)
        store.remove()


def sequence_nlls(
    model: LanguageModel,
    sources: Sequence[Sequence[int]],
    sequences: Sequence[Sequence[int]],
    batch_size: BatchSize,
    what: str,
    store: BatchStore = IN_MEMORY,
) -> tuple[list[float], list[float]]:
    """Return -log q(y|x) of each (source, sequence) pair in nats: the mean over its tokens, and the sum."""
    model.module.eval()

    def process(indices: list[int], _: int) -> list:
        labels = label_batch([sequences[i] for i in indices], model.device)
        source = source_batch(model, [sources[i] for i in indices])
        nll = -sequence_log_probs(model, source, labels).double().sum(-1)
        counts = (labels != IGNORE).sum(-1)
        return [(value / count, value) for value, count in zip(nll.tolist(), counts.tolist(), strict=True)]

    lengths = [len(s) + len(y) for s, y in zip(sources, sequences, strict=True)]
    per_token, per_sequence = zip(*map_batches(what, lengths, batch_size, process, store), strict=True)
    return list(per_token), list(per_sequence)
