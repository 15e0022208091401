"""Running a model over a whole split: decoding for the metrics, and drawing samples with their log-probabilities."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from fdistill.data.batches import label_batch, sorted_batches, source_batch
from fdistill.models.language_model import LanguageModel
from fdistill.objectives import IGNORE
from fdistill.progress import Progress
from fdistill.sampling import Drawing, Samples, draw, sequence_log_probs


def _decode(
    model: LanguageModel,
    sources: Sequence[Sequence[int]],
    drawing: Drawing,
    batch_size: int,
    what: str,
    generator: torch.Generator | None = None,
) -> Iterator[tuple[list[int], Any, Samples]]:
    """Batches of (indices, source, samples) over all sources."""
    model.module.eval()
    progress = Progress(what, len(sources))
    tokens, began = 0, time.monotonic()
    for indices in sorted_batches([len(s) for s in sources], batch_size):
        source = source_batch(model, [sources[i] for i in indices])
        samples = draw(model, source, drawing, generator)
        yield indices, source, samples
        tokens += int((samples.labels != IGNORE).sum())
        progress.advance(len(indices), tokens_per_s=tokens / (time.monotonic() - began))
    progress.close()


def _rows(samples: Samples) -> list[list[int]]:
    return [row[row != IGNORE].tolist() for row in samples.labels]


def generate_texts(
    model: LanguageModel,
    tokenizer: PreTrainedTokenizerBase,
    sources: Sequence[Sequence[int]],
    decoding: dict[str, Any],
    batch_size: int,
    seed: int,
) -> dict[str, list]:
    """Decode every source once; columns hypothesis, n_tokens, finished of `schemas.GENERATIONS`, in source order.

    `decoding` holds `max_new_tokens`, `num_beams` and further `GenerationConfig` settings; `seed` matters when it
    draws (`do_sample`).
    """
    torch.manual_seed(seed)
    options = dict(decoding)
    drawing = Drawing(options.pop("max_new_tokens"), "beam", options)
    rows: list[Any] = [None] * len(sources)
    for indices, _, samples in _decode(model, sources, drawing, batch_size, "generating"):
        tokens = _rows(samples)
        texts = tokenizer.batch_decode(tokens, skip_special_tokens=True)
        for i, text, ids, finished in zip(indices, texts, tokens, samples.finished.tolist(), strict=True):
            rows[i] = (" ".join(text.split()), len(ids), finished)
    hypotheses, n_tokens, finished = (list(column) for column in zip(*rows, strict=True))
    return {"hypothesis": hypotheses, "n_tokens": n_tokens, "finished": finished}


def draw_samples(
    model: LanguageModel,
    ids: Sequence[str],
    sources: Sequence[Sequence[int]],
    drawing: Drawing,
    per_input: int,
    batch_size: int,
    seed: int,
) -> dict[str, list]:
    """`per_input` sequences of every source as the columns of `schemas.SAMPLES`, ordered by input, then by sample.

    The log-probability is that of the whole sequence under the model itself, whatever the mode truncates.
    """
    generator = torch.Generator(device=model.device).manual_seed(seed)
    rows: dict[tuple[int, int], tuple] = {}
    for sample in range(per_input):
        what = f"sampling {sample + 1}/{per_input}"
        for indices, source, samples in _decode(model, sources, drawing, batch_size, what, generator):
            log_probs = sequence_log_probs(model, source, samples.labels).double().sum(-1).tolist()
            finished = samples.finished.tolist()
            for i, tokens, log_prob, done in zip(indices, _rows(samples), log_probs, finished, strict=True):
                rows[i, sample] = (ids[i], sample, tokens, log_prob, done)
    columns = zip(*(rows[key] for key in sorted(rows)), strict=True)
    return dict(zip(("id", "sample", "tokens", "log_prob", "finished"), map(list, columns), strict=True))


def token_means(
    model: LanguageModel,
    sources: Sequence[Sequence[int]],
    sequences: Sequence[Sequence[int]],
    batch_size: int,
    what: str,
) -> tuple[list[float], list[float]]:
    """-log q(y|x) of each (source, sequence) pair, in nats: per token (mean over its tokens) and per sequence."""
    model.module.eval()
    per_token, per_sequence = [0.0] * len(sources), [0.0] * len(sources)
    progress = Progress(what, len(sources))
    lengths = [len(s) + len(y) for s, y in zip(sources, sequences, strict=True)]
    for indices in sorted_batches(lengths, batch_size):
        labels = label_batch([sequences[i] for i in indices], model.device)
        source = source_batch(model, [sources[i] for i in indices])
        nll = -sequence_log_probs(model, source, labels).double().sum(-1)
        for i, value, count in zip(indices, nll.tolist(), (labels != IGNORE).sum(-1).tolist(), strict=True):
            per_sequence[i], per_token[i] = value, value / count
        progress.advance(len(indices))
    progress.close()
    return per_token, per_sequence
