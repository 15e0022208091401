"""Drawing sequences from a model's own distribution."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fdistill.divergences import log_softmax
from fdistill.models.language_model import LanguageModel, Source
from fdistill.objectives import IGNORE, token_log_probs


@dataclass
class Samples:
    """Sampled sequences as labels."""

    labels: Tensor  # (B, T), up to and including the first EOS, IGNORE after it
    finished: Tensor  # (B,), whether EOS was drawn before the length limit


@torch.no_grad()
def ancestral_sample(
    model: LanguageModel, source: Source, max_new_tokens: int, generator: torch.Generator | None = None
) -> Samples:
    """One sequence per source, token by token from the full softmax: y ~ q(.|x), nothing cut or reweighted.

    Dropout is off while sampling and put back as it was. `generator` makes the draw reproducible.
    """
    was_training = model.module.training
    model.module.eval()
    try:
        return _sample(model, source, max_new_tokens, generator)
    finally:
        model.module.train(was_training)


def _sample(model: LanguageModel, source: Source, max_new_tokens: int, generator: torch.Generator | None) -> Samples:
    input_ids, state = model.start(model.encode(source))
    finished = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
    labels = []
    for _ in range(max_new_tokens):
        logits = model.step(input_ids, state)  # (B, V)
        drawn = torch.multinomial(logits.float().softmax(-1), 1, generator=generator)  # (B, 1)
        labels.append(drawn.masked_fill(finished.unsqueeze(1), IGNORE))
        finished = finished | (drawn.squeeze(1) == model.eos_token_id)
        if finished.all():
            break
        input_ids = drawn.masked_fill(finished.unsqueeze(1), model.pad_token_id)
    return Samples(torch.cat(labels, dim=1), finished)


def as_labels(tokens: Tensor, eos_token_id: int) -> Samples:
    """Generated ids (B, T), padded after EOS, as `Samples`. By order alone: the pad token may be EOS."""
    is_eos = tokens == eos_token_id
    after_eos = (is_eos.cumsum(-1) - is_eos.long()) > 0
    return Samples(tokens.masked_fill(after_eos, IGNORE), is_eos.any(-1))


@torch.no_grad()
def sequence_log_probs(model: LanguageModel, source: Source, labels: Tensor) -> Tensor:
    """The log-probability of each label given those before it, 0 at padded positions: (B, T) -> (B, T)."""
    return token_log_probs(log_softmax(model.decode(model.encode(source), labels).logits), labels)
