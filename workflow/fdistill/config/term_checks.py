"""Checks of a method's terms: what a loss can be used with, and what it reads that a teacher cache does not store."""

from collections.abc import Iterator
from typing import Any

from fdistill.losses.sequences import STUDENT_SAMPLES
from fdistill.runtime.validation import Problem, show
from fdistill.sampling.cache_kinds import TOPK

BETA, TEACHER_WEIGHT = "beta", "teacher_weight"  # two names for one parameter of a loss
# Losses that read the inside of the teacher, and what they read.
LAYER_LOSSES = {"hidden_mse": "hidden states", "hidden_cosine": "hidden states", "attention_mse": "attention weights"}
# Losses that can be computed on one kind of sequence only.
ONLY_ON = {"policy_gradient": STUDENT_SAMPLES}


def term_problems(method: dict[str, Any]) -> Iterator[Problem]:
    """Yield the terms with a mixture's weight by both of its names, or with what their loss cannot be used with.

    The latter are sequences of another kind, and a temperature where there are no logits to divide: it would be a
    second weight, its own square.
    """
    for index, term in enumerate(method.get("terms", [])):
        parameters = term.get("parameters", {})
        if BETA in parameters and TEACHER_WEIGHT in parameters:
            yield Problem(
                ("terms", index, "parameters", TEACHER_WEIGHT),
                f"the mixture's weight is given twice: {BETA}, {show(parameters[BETA])}, is the student's, and "
                f"{TEACHER_WEIGHT}, {show(parameters[TEACHER_WEIGHT])}, the teacher's (GKD's and TRL's beta); keep one",
            )
        loss, temperature = term.get("loss"), term.get("temperature", 1)
        if loss in ONLY_ON and term.get("sequences") != ONLY_ON[loss]:
            text = f"'{loss}' needs sequences of the current student; set {ONLY_ON[loss]}"
            yield Problem(("terms", index, "sequences"), text)
        if temperature != 1 and loss in LAYER_LOSSES:
            text = f"{show(temperature)} is not used with loss '{loss}', which reads no logits; remove it"
            yield Problem(("terms", index, "temperature"), text)


def not_stored(method: dict[str, Any], term: dict[str, Any], stored: str) -> str | None:
    """Return what a method's term reads of the teacher that a cache does not contain; None if nothing.

    `stored` is the kind of the cache, and the term's loss one that reads the teacher.
    """
    if method.get("include_original"):
        return "distributions on the original pairs (include_original)"
    if term["loss"] in LAYER_LOSSES:
        return f"{LAYER_LOSSES[term['loss']]} (loss {term['loss']})"
    if stored == TOPK and term["parameters"].get("exact"):
        return "every sampled token's probability (parameter exact)"
    if stored == TOPK and term["temperature"] != 1:
        return "distributions at another temperature"
    return None
