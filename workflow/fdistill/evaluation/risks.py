"""Likelihood risk, coverage risk and teacher diversity (Wen et al. 2023, section 3.2 and Table 3)."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

from fdistill.artifacts.shards import IN_MEMORY, Shards
from fdistill.models.language_model import LanguageModel
from fdistill.sampling.offline import sequence_nlls


def risks(
    student: LanguageModel,
    teacher: LanguageModel,
    sources: Sequence[Sequence[int]],
    student_samples: Sequence[Sequence[int]],
    teacher_samples: Sequence[Sequence[int]],
    batch_size: int,
    shards: Shards = IN_MEMORY,
) -> dict[str, float]:
    """R_llh, mean of -log p(y'|x), and R_cvg, mean of -log q(y|x), in nats: one y' ~ q and y ~ p per source.

    `_token`: each sequence's mean over its tokens, then the mean over sequences, the unit of Table 3.
    `_sequence`: the paper's formula, the mean of whole-sequence values.
    """
    result = {}
    pairs = (("r_llh", teacher, student_samples), ("r_cvg", student, teacher_samples))
    for name, judge, samples in pairs:
        per_token, per_sequence = sequence_nlls(judge, sources, samples, batch_size, name, shards)
        result[f"{name}_token"], result[f"{name}_sequence"] = fmean(per_token), fmean(per_sequence)
    return result


def distinct_bigrams(samples: Sequence[Sequence[int]]) -> float | None:
    """Distinct over all bi-grams of one input's samples, in percent; None when no sample has two tokens."""
    bigrams = [pair for tokens in samples for pair in pairwise(tokens)]
    return 100 * len(set(bigrams)) / len(bigrams) if bigrams else None


def teacher_dist(samples_by_input: Sequence[Sequence[Sequence[int]]]) -> float:
    """TeacherDist: `distinct_bigrams` averaged over inputs, tokens without EOS."""
    shares = [share for share in map(distinct_bigrams, samples_by_input) if share is not None]
    return fmean(shares) if shares else float("nan")
