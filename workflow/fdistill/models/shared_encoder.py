"""An encoder that teacher and student have in common: copied whole, and frozen.

Its output is the same in both models, so that training computes it once and holds its weights once (Shleifer & Rush
2020, footnote 6).
"""

from typing import Any

import torch

from fdistill.models.language_model import LanguageModel


def has_frozen_encoder(model: LanguageModel) -> bool:
    """Return whether a model has an encoder of which no weight is trained, embeddings and final norm included."""
    if not model.family.is_encoder_decoder:
        return False
    return not any(weight.requires_grad for weight in model.module.get_encoder().parameters())


def is_shared_encoder(student: LanguageModel, teacher: LanguageModel) -> bool:
    """Return whether the encoders of two encoder-decoder models have equal weights and settings."""
    if _settings(student) != _settings(teacher):
        return False
    own, theirs = (model.module.get_encoder().state_dict() for model in (student, teacher))
    return own.keys() == theirs.keys() and all(torch.equal(own[name], theirs[name]) for name in own)


def share_encoder(student: LanguageModel, teacher: LanguageModel) -> None:
    """Let the teacher's encoder use the student's weights, which frees its own; both must be frozen and equal."""
    own = dict(student.module.get_encoder().named_parameters())
    for name, weight in teacher.module.get_encoder().named_parameters():
        weight.data = own[name].data


def _settings(model: LanguageModel) -> dict[str, Any]:
    """Return what the configuration says of the encoder: all but names, and the size of the decoder."""
    ignored = {model.family.stacks["decoder"].size_key, "transformers_version", "architectures"}
    settings = model.module.config.to_dict()
    return {key: value for key, value in settings.items() if key not in ignored and not key.startswith("_")}
