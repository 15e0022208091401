"""Drawing sequences from a model: from its own distribution, or by a mode that cuts or searches it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fdistill.losses.objectives import IGNORE
from fdistill.models.language_model import Context, LanguageModel, Source
from fdistill.runtime.errors import UserError

ANCESTRAL = "ancestral"

# How a sampling mode decodes, as transformers' GenerationConfig settings; what a mode must be given is None here.
# Ancestral sampling is our own loop (`ancestral_sample`); the rest is transformers' `generate`.
MODES: dict[str, dict[str, Any]] = {
    ANCESTRAL: {},
    "top_k": {"do_sample": True, "top_k": None},
    "nucleus": {"do_sample": True, "top_k": 0, "top_p": None},
    "beam": {"do_sample": False, "num_beams": None},
    "beam_sample": {"do_sample": True, "top_k": 0, "num_beams": None},
}


def mode_settings(mode: str, options: dict[str, Any]) -> dict[str, Any]:
    """The decoding settings of a mode with the user's options; UserError for an unknown mode or a missing option."""
    if mode not in MODES:
        raise UserError(f"mode: unknown sampling mode '{mode}'; allowed: {', '.join(MODES)}")
    settings = MODES[mode] | options
    missing = [name for name, value in settings.items() if value is None]
    if missing:
        raise UserError(f"mode '{mode}' needs {', '.join(missing)}")
    return settings


@dataclass(frozen=True)
class SamplingConfig:
    """How sequences are drawn: one of `MODES` with its options, and the longest sequence, EOS included."""

    max_new_tokens: int
    mode: str = ANCESTRAL
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_settings(cls, settings: dict[str, Any], longest: int) -> "SamplingConfig":
        """From section `sampling` of the schema, where null stands for what transformers does unasked.

        `longest` is text.max_target_tokens, the bound of every sequence. Raises UserError for one that may be longer,
        and as `mode_settings` does.
        """
        options = {key: value for key, value in settings.items() if value is not None}
        mode, max_new_tokens = options.pop("mode"), options.pop("max_new_tokens", longest)
        if max_new_tokens > longest:
            raise UserError(f"max_new_tokens: {max_new_tokens} is more than max_target_tokens, {longest}; lower it")
        mode_settings(mode, options)
        return cls(max_new_tokens, mode, options)


@dataclass
class Samples:
    """Sampled sequences as labels."""

    labels: Tensor  # (B, T), up to and including the first EOS, IGNORE after it
    finished: Tensor  # (B,), whether EOS was drawn before the length limit
    log_probs: Tensor | None = None  # (B,), of the whole sequences, nats, where they are known from drawing


def sample_batch(
    model: LanguageModel,
    source: Source,
    sampling: SamplingConfig,
    seed: Sequence[int],
    rows: Sequence[int] | None = None,
    context: Context | None = None,
) -> Samples:
    """One sequence per source, drawn as `sampling` says. Dropout is off, and the global generator stays as it was.

    A `context` is the source already encoded, without dropout; ancestral sampling goes on from there.

    `rows` numbers the sources (0, 1, ... unless given). What an ancestral sample draws is decided by `seed` and its own
    number alone, whoever else is in the batch; what the other modes draw, by all of the batch.

    Every mode but `ancestral` gives sequences that are not y ~ q(.|x): a loss averaged over them is another one than
    its expectation under q.
    """
    rows = range(len(source.input_ids)) if rows is None else rows
    if sampling.mode == ANCESTRAL:
        return ancestral_sample(model, source, sampling.max_new_tokens, seed, rows, context)
    settings = mode_settings(sampling.mode, sampling.options) | {"max_new_tokens": sampling.max_new_tokens}
    with _without_dropout(model), torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(mixed_seed(*seed, *rows))
        return as_labels(model.generate(source, **settings), model.eos_token_id)


def mixed_seed(*numbers: int) -> int:
    """One seed of 64 bits from several numbers, so that neighbours have nothing in common (numpy's SeedSequence)."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


@contextmanager
def _without_dropout(model: LanguageModel) -> Iterator[None]:
    was_training = model.module.training
    model.module.eval()
    try:
        yield
    finally:
        model.module.train(was_training)


@torch.no_grad()
def ancestral_sample(
    model: LanguageModel,
    source: Source,
    max_new_tokens: int,
    seed: Sequence[int],
    rows: Sequence[int] | None = None,
    context: Context | None = None,
) -> Samples:
    """One sequence per source, token by token from the full softmax: y ~ q(.|x), nothing cut or reweighted.

    See `sample_batch` for `seed`, `rows` and `context`.
    """
    rows = range(len(source.input_ids)) if rows is None else rows
    with _without_dropout(model):
        return _sample(model, context or model.encode(source), _chances(max_new_tokens, seed, rows).to(model.device))


def _chances(steps: int, seed: Sequence[int], rows: Sequence[int]) -> Tensor:
    """Uniform random numbers in [0, 1), (B, T), float64: those of a row from a generator of its own."""
    return torch.from_numpy(np.stack([np.random.default_rng((*seed, row)).random(steps) for row in rows]))


def _sample(model: LanguageModel, context: Context, chances: Tensor) -> Samples:
    count, steps = chances.shape
    labels = chances.new_full((count, steps), IGNORE, dtype=torch.long)
    going = torch.arange(count, device=chances.device)  # the rows that have not ended
    logits, state = model.start(context)
    for step in range(steps):
        sampled = _inverse_cdf(logits, chances[going, step])
        labels[going, step] = sampled
        goes_on = (sampled != model.eos_token_id).nonzero().squeeze(1)
        if len(goes_on) == 0 or step == steps - 1:
            break
        if len(goes_on) < len(going):
            going, sampled = going[goes_on], sampled[goes_on]
            model.select_rows(goes_on, state)
        logits = model.step(sampled.unsqueeze(1), state)
    labels = labels[:, : step + 1]
    return Samples(labels, (labels == model.eos_token_id).any(1))


def _inverse_cdf(logits: Tensor, chance: Tensor) -> Tensor:
    """The token at `chance`, uniform in [0, 1), of the distribution's sum: (B, V), (B,) -> (B,).
    In float64, where no token of a large vocabulary is lost in the sum.
    """
    sums = logits.double().softmax(-1).cumsum(-1)
    sampled = torch.searchsorted(sums, chance.unsqueeze(1) * sums[:, -1:], right=True)
    return sampled.clamp(max=logits.shape[-1] - 1).squeeze(1)  # the product may be rounded up to the sum itself


def as_labels(tokens: Tensor, eos_token_id: int) -> Samples:
    """Generated ids (B, T), padded after EOS, as `Samples`. By order alone: the pad token may be EOS."""
    is_eos = tokens == eos_token_id
    after_eos = (is_eos.cumsum(-1) - is_eos.long()) > 0
    return Samples(tokens.masked_fill(after_eos, IGNORE), is_eos.any(-1))


@torch.no_grad()
def sequence_log_probs(model: LanguageModel, source: Source, labels: Tensor) -> Tensor:
    """The log-probability of each label given those before it, 0 at padded positions: (B, T) -> (B, T)."""
    return model.log_probs(model.encode(source), labels)
