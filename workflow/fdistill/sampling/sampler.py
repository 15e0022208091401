"""Sampling sequences from a model: from its own distribution, or by a mode that truncates or searches it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fdistill.losses.inputs import IGNORE
from fdistill.models.language_model import Context, LanguageModel, Source
from fdistill.runtime.errors import UserError
from fdistill.sampling.diverse_beams import diverse_beam_search
from fdistill.sampling.modes import (
    ANCESTRAL,
    BEAM,
    DIVERSE_BEAM,
    SEARCHES,
    mode_settings,
    sampling_mistakes,
)


@dataclass(frozen=True)
class SamplingConfig:
    """How sequences are sampled: a mode of `MODES` with its options, and the longest sequence in tokens, with EOS."""

    max_new_tokens: int
    mode: str = ANCESTRAL
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_settings(cls, settings: dict[str, Any], longest: int, per_input: int = 1) -> "SamplingConfig":
        """Build a config from section `sampling` of the schema, in which null means transformers' default.

        `longest` is text.max_target_tokens, the limit of every sequence. Of a search, `per_input` sequences per input
        are its best ones. Raises UserError if `max_new_tokens` is above `longest`, and for the errors of
        `mode_settings` and `sampling_mistakes`.
        """
        options = {key: value for key, value in settings.items() if value is not None}
        max_new_tokens = options.setdefault("max_new_tokens", longest)
        if max_new_tokens > longest:
            raise UserError(f"max_new_tokens: {max_new_tokens} is more than max_target_tokens, {longest}; lower it")
        for key, text in sampling_mistakes(options, per_input):
            raise UserError(f"{key}: {text}")
        mode = options.pop("mode")
        del options["max_new_tokens"]
        mode_settings(mode, options)
        if mode in SEARCHES and per_input > 1:
            options["num_return_sequences"] = per_input
        return cls(max_new_tokens, mode, options)

    @classmethod
    def from_decoding(cls, decoding: dict[str, Any]) -> "SamplingConfig":
        """Build a config from decoding settings: `max_new_tokens`, `num_beams` and others of `GenerationConfig`.

        Raises UserError as `sampling_mistakes` has it.
        """
        for key, text in sampling_mistakes(decoding):
            raise UserError(f"{key}: {text}")
        options = dict(decoding)
        return cls(options.pop("max_new_tokens"), BEAM, options)

    def check_vocabulary(self, model: LanguageModel) -> None:
        """Raise UserError for a search with more beams than the model has tokens: some would begin as no sequence."""
        beams, tokens = self.options.get("num_beams", 1), model.vocabulary
        if beams > tokens:
            raise UserError(f"num_beams: {beams} is more than the {tokens} tokens of the model's vocabulary; lower it")

    @property
    def per_source(self) -> int:
        """The number of sequences that are sampled for a source at a time: the best ones of a search, otherwise one."""
        return self.options.get("num_return_sequences", 1)


@dataclass
class Samples:
    """Sampled sequences as labels: those of each source side by side, the best one of a search first."""

    labels: Tensor  # (B, T), up to and including the first of the model's end tokens, IGNORE after it
    finished: Tensor  # (B,), whether the sequence ends in one
    log_probs: Tensor | None = None  # (B,), of whole sequences in nats, if the engine computes them


def sample_batch(
    model: LanguageModel,
    source: Source,
    sampling: SamplingConfig,
    seed: Sequence[int],
    rows: Sequence[int] | None = None,
    context: Context | None = None,
) -> Samples:
    """Sample as `sampling` says, without dropout and without torch's global generator: `per_source` sequences each.

    `context` is the source already encoded without dropout; ancestral sampling then skips the encoding.

    `rows` are numbers of the sources (default: 0, 1, ...). An ancestral sample depends on `seed` and its own number
    alone, whatever else is in the batch; in the other modes, samples depend on the whole batch.

    Only mode `ancestral` samples y ~ q(.|x). A loss that is averaged over sequences of another mode does not estimate
    its expectation under q.
    """
    rows = range(len(source.input_ids)) if rows is None else rows
    if sampling.mode == ANCESTRAL:
        return ancestral_sample(model, source, sampling.max_new_tokens, seed, rows, context)
    settings = mode_settings(sampling.mode, sampling.options) | {"max_new_tokens": sampling.max_new_tokens}
    if sampling.mode == DIVERSE_BEAM:
        with _without_dropout(model):
            labels = diverse_beam_search(model, source, **settings)
        return Samples(labels, torch.isin(labels, labels.new_tensor(model.ends)).any(1))
    with _without_dropout(model), torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(mixed_seed(*seed, *rows))
        return as_labels(model.generate(source, **settings), model.ends)


def mixed_seed(*numbers: int) -> int:
    """Return a 64-bit seed made of several numbers, unrelated to that of neighbouring ones (numpy's SeedSequence)."""
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
    """Sample one sequence per source, token by token from the full softmax: y ~ q(.|x), not truncated or reweighted.

    `sample_batch` explains `seed`, `rows` and `context`.
    """
    rows = range(len(source.input_ids)) if rows is None else rows
    uniform = _uniform_numbers(max_new_tokens, seed, rows).to(model.device)
    with _without_dropout(model):
        return _sample(model, context or model.encode(source), uniform)


def _uniform_numbers(steps: int, seed: Sequence[int], rows: Sequence[int]) -> Tensor:
    """Return random numbers in [0, 1), (B, T) in float64; each row has a generator of its own."""
    return torch.from_numpy(np.stack([np.random.default_rng((*seed, row)).random(steps) for row in rows]))


def _sample(model: LanguageModel, context: Context, uniform: Tensor) -> Samples:
    """Sample by inverse CDF from `uniform` (B, T), one column per token; finished rows leave the batch."""
    count, steps = uniform.shape
    labels = uniform.new_full((count, steps), IGNORE, dtype=torch.long)
    unfinished, ends = torch.arange(count, device=uniform.device), labels.new_tensor(model.ends)
    logits, state = model.start(context)
    for step in range(steps):
        sampled = _inverse_cdf(logits, uniform[unfinished, step])
        labels[unfinished, step] = sampled
        continuing = (~torch.isin(sampled, ends)).nonzero().squeeze(1)
        if len(continuing) == 0 or step == steps - 1:
            break
        if len(continuing) < len(unfinished):
            unfinished, sampled = unfinished[continuing], sampled[continuing]
            model.select_rows(continuing, state)
        logits = model.step(sampled.unsqueeze(1), state)
    labels = labels[:, : step + 1]
    return Samples(labels, torch.isin(labels, ends).any(1))


def _inverse_cdf(logits: Tensor, uniform: Tensor) -> Tensor:
    """Return the token at which the cumulative distribution exceeds `uniform`: (B, V), (B,) -> (B,).

    The sum is in float64, in which no token of a large vocabulary is lost.
    """
    cdf = logits.double().softmax(-1).cumsum(-1)
    sampled = torch.searchsorted(cdf, uniform.unsqueeze(1) * cdf[:, -1:], right=True)
    return sampled.clamp(max=logits.shape[-1] - 1).squeeze(1)  # the product may round up to the last sum


def as_labels(tokens: Tensor, ends: Sequence[int]) -> Samples:
    """Convert generated ids (B, T) to `Samples`: all after the first end token is padding, as the pad token may be one.

    `ends` are the model's.
    """
    is_end = torch.isin(tokens, tokens.new_tensor(ends))
    after_end = (is_end.cumsum(-1) - is_end.long()) > 0
    return Samples(tokens.masked_fill(after_end, IGNORE), is_end.any(-1))


@torch.no_grad()
def sequence_log_probs(model: LanguageModel, source: Source, labels: Tensor) -> Tensor:
    """Return the log-probability of each label given those before it, 0 at padded positions: (B, T) -> (B, T)."""
    return model.log_probs(model.encode(source), labels)
