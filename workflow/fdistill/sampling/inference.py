"""Inference: the outputs of a trained model for sources that come one after the other, not from a prepared split."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from transformers import PreTrainedTokenizerBase

from fdistill.artifacts.batch_store import BatchStore
from fdistill.data.batches import BatchSize
from fdistill.data.encoding import check_symbols
from fdistill.data.limits import Limits
from fdistill.data.prompts import encode_prompts
from fdistill.models.checkpoints import Checkpoint
from fdistill.runtime.progress import Progress
from fdistill.sampling.engine_limits import TRANSFORMERS
from fdistill.sampling.offline import generate_texts

log = logging.getLogger(__name__)

# Outputs are returned after this many inputs. Within them, inputs of similar length form a batch.
WINDOW = 256


@dataclass(frozen=True)
class Answer:
    """An output, with the keys that the JSON lines of `infer.py` have."""

    output: str = ""
    truncated: bool = False  # whether the source was longer than its maximum and was cut
    finished: bool = True  # whether the output ended before its maximum


def infer(
    checkpoint: Checkpoint,
    sources: Iterable[str],
    limits: Limits,
    decoding: dict[str, Any],
    batch_size: BatchSize,
    seed: int,
    engine: str = TRANSFORMERS,
) -> Iterator[Answer]:
    """Yield the answer to each source, in their order, made as `generate_texts` makes the outputs of a test split.

    Of an iterator, `WINDOW` sources are read at a time. A source longer than `limits` allows is cut. A source that is
    empty or white space is not given to the model; its output is empty. Logs the progress, and at the end how many
    sources were empty and how many were cut.
    """
    known = isinstance(sources, Sequence)
    progress = Progress("outputs", sum(bool(source.strip()) for source in sources) if known else None)
    count = filled = truncated = 0
    remaining = iter(sources)
    while window := list(islice(remaining, WINDOW)):
        places = [place for place, source in enumerate(window) if source.strip()]
        count, filled = count + len(window), filled + len(places)
        answers = [Answer()] * len(window)
        if places:
            rows, cut = _encode([window[place] for place in places], checkpoint.tokenizer, limits)
            columns = generate_texts(
                *(checkpoint.model, checkpoint.tokenizer, rows, decoding, batch_size, seed),
                BatchStore(progress=progress),
                engine,
            )
            for place, *values in zip(places, columns["hypothesis"], cut, columns["finished"], strict=True):
                answers[place] = Answer(*values)
            truncated += sum(cut)
        yield from answers
    progress.close()
    if filled < count:
        log.info("%d of %d sources are empty, and so are their outputs", count - filled, count)
    if truncated:
        log.info("%d of %d sources were cut to %d tokens", truncated, count, limits.max_source_tokens)


def _encode(
    sources: list[str], tokenizer: PreTrainedTokenizerBase, limits: Limits
) -> tuple[list[list[int]], list[bool]]:
    """Return the token ids of sources, encoded as those of a split, and for each whether it was cut."""
    if limits.symbols:
        check_symbols({"source": sources, "references": []}, tokenizer, "the input")
    prompts = encode_prompts(sources, tokenizer, limits)
    return [prompt.tokens for prompt in prompts], [prompt.length > limits.max_source_tokens for prompt in prompts]
