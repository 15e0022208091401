"""What a model predicts along given sequences: each token's log-probability, and the likeliest tokens in its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from fdistill.artifacts.batch_store import IN_MEMORY, BatchStore
from fdistill.data.batches import BatchSize, label_batch, source_batch
from fdistill.losses.divergences import log_softmax
from fdistill.losses.inputs import IGNORE
from fdistill.models.language_model import LanguageModel
from fdistill.sampling.offline import map_batches


@dataclass(frozen=True)
class Predictions:
    """A model's predictions at the T positions of one sequence, under teacher forcing."""

    log_probs: list[float]  # of the sequence's own tokens, in nats
    top_tokens: list[list[int]]  # (T, K): the ids of the K likeliest tokens


@torch.no_grad()
def predictions(
    model: LanguageModel,
    sources: Sequence[Sequence[int]],
    sequences: Sequence[Sequence[int]],
    top_k: int,
    batch_size: BatchSize,
    what: str,
    store: BatchStore = IN_MEMORY,
) -> list[Predictions]:
    """Return the model's predictions along each (source, sequence) pair, with K = `top_k`, or the vocabulary's size.

    `what` names the work in the log. Of logits, only a chunk of positions is in memory at a time.
    """
    model.module.eval()
    count = min(top_k, model.vocabulary)

    def process(indices: list[int], _: int) -> list:
        labels = label_batch([sequences[i] for i in indices], model.device)
        source, valid = source_batch(model, [sources[i] for i in indices]), labels != IGNORE
        states = model.decode(model.encode(source), labels).states
        log_probs, top_tokens = [], []
        size = model.chunk_size
        for chunk, tokens in zip(states.split(size), labels[valid].split(size), strict=True):
            log_q = log_softmax(model.logits(chunk))
            log_probs += log_q.gather(-1, tokens.unsqueeze(-1)).squeeze(-1).tolist()
            top_tokens += log_q.topk(count).indices.tolist()
        remaining = iter(zip(log_probs, top_tokens, strict=True))
        return [[next(remaining) for _ in range(length)] for length in valid.sum(1).tolist()]

    lengths = [len(source) + len(sequence) for source, sequence in zip(sources, sequences, strict=True)]
    return [
        Predictions(*map(list, zip(*positions, strict=True)))
        for positions in map_batches(what, lengths, batch_size, process, store)
    ]


def nll(predicted: Sequence[Predictions]) -> float:
    """Return the mean over sequences of -log q per token, in nats."""
    return -fmean(fmean(one.log_probs) for one in predicted)


def top_overlap(teacher: Sequence[Predictions], student: Sequence[Predictions]) -> float:
    """Return the share of the teacher's K likeliest tokens that are among the student's: |top_K(p) ∩ top_K(q)| / K.

    It is the mean over the sequences of the mean over their positions.
    """
    return fmean(
        fmean(len(set(of_p) & set(of_q)) / len(of_p) for of_p, of_q in zip(p.top_tokens, q.top_tokens, strict=True))
        for p, q in zip(teacher, student, strict=True)
    )


def log_prob_gap(teacher: Sequence[Predictions], student: Sequence[Predictions]) -> float:
    """Return log p(y_t) - log q(y_t) in nats, averaged as `top_overlap` does: how much likelier y is to the teacher."""
    return nll(student) - nll(teacher)
