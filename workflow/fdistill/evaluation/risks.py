"""Likelihood risk, coverage risk and teacher diversity (Wen et al. 2023, section 3.2 and Table 3)."""

import math
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from fdistill.artifacts.batch_store import IN_MEMORY, BatchStore
from fdistill.artifacts.files import write_json
from fdistill.artifacts.lineage import Lineage
from fdistill.evaluation.replicates import write_replicates
from fdistill.evaluation.resampling import replicate_mean
from fdistill.models.language_model import LanguageModel
from fdistill.runtime.errors import UserError
from fdistill.sampling.offline import sequence_nlls

NO_MODEL = {
    "reason": "the teacher is files of outputs, which do not have its probability of other texts",
    "fix": "compare in another metric, or use a teacher that is a model (model.teacher.init)",
}
NO_ENTROPY = {
    "reason": "the teacher's own R_cvg is its entropy, which needs its probabilities for the test split, and it is "
    "files of outputs",
    "fix": "compare the students' R_cvg with each other, or use a teacher that is a model (model.teacher.init)",
}
NO_OUTPUTS = {
    "reason": "the teacher's outputs for the test split are not known",
    "fix": "give them as model.teacher.outputs.test",
}


def risks(
    student: LanguageModel,
    teacher: LanguageModel | None,
    sources: Sequence[Sequence[int]],
    student_samples: Sequence[Sequence[int]],
    teacher_samples: Sequence[Sequence[int]],
    batch_size: int,
    store: BatchStore = IN_MEMORY,
) -> dict[str, list[float]]:
    """Return R_llh, the mean of -log p(y'|x), and R_cvg, the mean of -log q(y|x), in nats: the values to average.

    p is the teacher and q the student. `student_samples` has one y' ~ q per source and `teacher_samples` one y ~ p, as
    token ids with EOS. The keys are `r_llh_token`, `r_llh_sequence`, `r_cvg_token` and `r_cvg_sequence`, each with a
    value per source: for `_token` the sequence's mean over its tokens, the unit of Table 3; for `_sequence` the sum
    over its tokens, the paper's formula. Without a teacher, and without samples of one, a risk has no values; `missing`
    says why. `store` keeps finished batches, so that a run can resume.

    Raises UserError for a risk that is not finite: a probability of a token is then no number, or exactly 0.
    """
    result = {}
    pairs = (("r_llh", teacher, student_samples), ("r_cvg", student, teacher_samples))
    for name, model, samples in pairs:
        if model is None or not samples:
            result |= {f"{name}_token": [], f"{name}_sequence": []}
            continue
        per_token, per_sequence = sequence_nlls(model, sources, samples, batch_size, name, store)
        result[f"{name}_token"], result[f"{name}_sequence"] = per_token, per_sequence
        not_finite = [row for row, value in enumerate(per_sequence) if not math.isfinite(value)]
        if not_finite:
            scored = "teacher" if model is teacher else "student"
            raise UserError(
                f"{name}: the {scored}'s log-probability of a sample is not finite (row {not_finite[0]} of the test "
                "split); its weights are damaged, or its training diverged: train it again with a lower learning_rate"
            )
    return result


def missing(has_teacher: bool, has_samples: bool) -> dict[str, dict[str, str]]:
    """Return why risks are n/a, and what helps, by risk: the teacher is no model, or has no outputs for the test."""
    found = {}
    if not has_teacher:
        found |= dict.fromkeys(("r_llh_token", "r_llh_sequence"), NO_MODEL)
    if not has_samples:
        found |= dict.fromkeys(("r_cvg_token", "r_cvg_sequence", "teacher_dist"), NO_OUTPUTS)
    return found


def outputs_missing() -> dict[str, dict[str, str]]:
    """Return the same for the row of a teacher whose outputs for the test are known: all but its diversity is n/a."""
    return missing(has_teacher=False, has_samples=True) | dict.fromkeys(("r_cvg_token", "r_cvg_sequence"), NO_ENTROPY)


def distinct_bigrams(samples: Sequence[Sequence[int]]) -> float | None:
    """Return the distinct bi-grams over all bi-grams of one input's samples, in percent; None if there are none."""
    bigrams = [pair for tokens in samples for pair in pairwise(tokens)]
    return 100 * len(set(bigrams)) / len(bigrams) if bigrams else None


def teacher_dist(samples_by_input: Sequence[Sequence[Sequence[int]]], ends: Collection[int]) -> list[float]:
    """Return what TeacherDist (Wen et al. 2023, Table 3) is the mean of: `distinct_bigrams` of each input, in percent.

    Samples, [input][sample][token], count without `ends`, the tokens that end a text. Inputs without bi-grams are left
    out, which may be all of them.
    """
    texts = ([[token for token in row if token not in ends] for row in samples] for samples in samples_by_input)
    return [share for share in map(distinct_bigrams, texts) if share is not None]


def write_risks(
    path: Path,
    measured: dict[str, list[float]],
    unknown: dict[str, dict[str, str]],
    place: dict[str, Any],
    lineage: Lineage,
) -> None:
    """Write the means of what was measured, with their replicates beside them.

    `unknown` says why a risk has no values; `place` are the keys that say what was measured.
    """
    replicates = {name: [replicate_mean(values)] if values else None for name, values in measured.items()}
    write_replicates(path, replicates, lineage)
    means = {name: fmean(values) if values else None for name, values in measured.items()}
    write_json(path, {**place, **means, **({"missing": unknown} if unknown else {}), "lineage": lineage})
