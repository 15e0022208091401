"""The cache of the distributions of a teacher from outside: what its outputs' log-probabilities say, as kind `topk`."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fdistill.data.output_tokens import EncodedOutput
from fdistill.data.outputs import no_log_probs
from fdistill.losses.divergences import LOG_ZERO
from fdistill.sampling.cache_kinds import TOPK
from fdistill.sampling.teacher_cache import Batch, write_distributions

log = logging.getLogger(__name__)


def write_outputs_cache(folder: Path, file: Path, sequences: Sequence[EncodedOutput], manifest: dict[str, Any]) -> None:
    """Write the cache of the outputs in `file` to `folder`, with as many tokens as are known at every position.

    `manifest` has the cache's inputs, as in `teacher_cache`. Raises UserError if no output has log-probabilities.
    """
    known = [sequence for sequence in sequences if sequence.known is not None]
    if not known:
        raise no_log_probs(file)
    width = min(sequence.known[0].shape[1] for sequence in known)
    if without := len(sequences) - len(known):
        log.warning("%s: %d of %d outputs are without log-probabilities", file, without, len(sequences))
    log.info("%s: the %d likeliest tokens are known per position", file, width)

    def batches() -> Iterator[Batch]:
        for row, sequence in enumerate(sequences):
            yield [row], [[torch.from_numpy(column)] for column in rectangular(sequence, width)]

    write_distributions(folder, TOPK, batches(), manifest | {"top_k": width})


def rectangular(encoded: EncodedOutput, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an output's distributions as a teacher cache of kind `topk` has them: tokens (T, K) and (T, K+1).

    `width` is K, at most that of `encoded.known`. A position of which nothing is known has its own token with
    probability 1, so that KL(p‖q) there is the NLL of the token. The last log-probability is that of all other tokens.
    """
    if encoded.known is None:
        top = np.full((len(encoded.tokens), width), -1, np.int32)
        log_probs = np.full((len(encoded.tokens), width), LOG_ZERO)
        top[:, 0], log_probs[:, 0] = encoded.tokens, 0
    else:
        top, log_probs = (column[:, :width].copy() for column in encoded.known)
    # Other tokens must be there, which are of probability 0 then: the lowest ids but the token's own.
    lowest = np.arange(width)
    others = np.where(lowest[None, :-1] < top[:, :1], lowest[None, :-1], lowest[None, :-1] + 1)
    empty = top[:, 1:] < 0
    top[:, 1:][empty] = others[empty]
    total = np.exp(log_probs.astype(np.float64)).sum(1)
    log_probs = log_probs - np.log(np.maximum(total, 1))[:, None]  # rounded numbers may add up to a little more than 1
    rest = 1 - total
    of_rest = np.log(np.maximum(rest, 0), out=np.full(len(rest), LOG_ZERO), where=rest > 0)
    return top, np.concatenate([log_probs, of_rest[:, None]], axis=1).astype(np.float32)
