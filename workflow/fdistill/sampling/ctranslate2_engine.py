"""CTranslate2, another runtime for a model of transformers: conversion, sampling, beam search and scoring."""

import copy
import tempfile
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fdistill.data.batches import label_batch, source_batch
from fdistill.models.language_model import LanguageModel, Source
from fdistill.runtime.errors import UserError
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS
from fdistill.sampling.sampler import ANCESTRAL, Samples, SamplingConfig, mixed_seed, sequence_log_probs

ScoredSequence = tuple[list[int], float]  # token ids and log-probability of one sequence

# The check that both runtimes compute the same: the largest difference allowed, in nats per token (rounding alone stays
# below 1e-4 on a CPU), and the number and length of the random sequences that are compared.
TOLERANCE = 0.01
CHECKED_SEQUENCES, CHECKED_LENGTH = 4, 6


def unsupported(reason: str) -> UserError:
    """Return the error that CTranslate2 cannot be used, with the reason and the remedy."""
    return UserError(f"engine {CTRANSLATE2}: {reason}; use engine {TRANSFORMERS}")


def package_version() -> str:
    """Return the version of the package; UserError where it is not installed."""
    try:
        return version(CTRANSLATE2)
    except PackageNotFoundError:
        raise unsupported(f"the package is not installed; pip install {CTRANSLATE2}") from None


class CTranslate2:
    """A model converted to CTranslate2, in float32, on the model's device. Its vocabulary are the token ids as text."""

    def __init__(self, model: LanguageModel):
        """Convert the model; UserError when that fails or the converted model has other log-probabilities."""
        package_version()
        import ctranslate2

        if model.is_sharded:
            raise unsupported("it needs all weights of the model, which is sharded over GPUs")
        model.module.eval()
        self.model = model
        self.prefix = model.decoder_prompt[1:]  # follows the start token, and is part of CTranslate2's outputs
        self._set_seed = ctranslate2.set_random_seed
        try:
            self._open = partial(
                ctranslate2.Translator if model.family.is_encoder_decoder else ctranslate2.Generator,
                "model",
                files=_converted_files(model),
                device=model.device.type,
                device_index=model.device.index or 0,
                compute_type="float32",
                inter_threads=1,
                intra_threads=torch.get_num_threads(),
            )
            self._runtime = self._open()
            difference = self._largest_difference()
        except (AttributeError, KeyError, RuntimeError, ValueError) as error:  # an unsupported feature
            raise unsupported(f"it cannot run this model ({type(error).__name__}: {error})") from None
        if not difference <= TOLERANCE:
            raise unsupported(f"its log-probabilities differ from the model's by up to {difference:.2g} nats per token")

    def sample_batch(
        self, source: Source, sampling: SamplingConfig, seed: Sequence[int], rows: Sequence[int]
    ) -> Samples:
        """Sample or search one sequence per source, as `sampler.sample_batch` does.

        In every mode the sequences depend on the whole batch; `rows` are part of its seed.
        """
        if sampling.mode == ANCESTRAL:  # a runtime's threads read the seed when they first sample, so open a new one
            self._set_seed(mixed_seed(*seed, *rows) % 2**32)
            self._runtime = self._open()
        options = {
            "beam_size": sampling.options.get("num_beams", 1),
            "length_penalty": 0.0 if sampling.mode == ANCESTRAL else sampling.options.get("length_penalty", 1.0),
            "return_scores": True,
            "sampling_topk": 0 if sampling.mode == ANCESTRAL else 1,  # 0: from all tokens
            "return_end_token": True,  # EOS then counts in a sequence's length, as in transformers
        }
        sources = [ids[mask.bool()].tolist() for ids, mask in zip(source.input_ids, source.attention_mask, strict=True)]
        generate = self._decode if self.model.family.is_encoder_decoder else self._continue
        sequences, log_probs = zip(*generate(sources, sampling.max_new_tokens, options), strict=True)
        finished = [tokens[-1] == self.model.eos_token_id for tokens in sequences]
        device = self.model.device
        labels = label_batch(sequences, device)
        return Samples(labels, torch.tensor(finished, device=device), torch.tensor(log_probs, device=device))

    def _decode(self, sources: list[list[int]], longest: int, options: dict[str, Any]) -> list[ScoredSequence]:
        """Run an encoder-decoder model: one sequence per source."""
        begin = len(self.prefix)
        results = self._runtime.translate_batch(
            _as_words(sources),
            target_prefix=_as_words([self.prefix] * len(sources)) if begin else None,
            max_input_length=0,  # no limit
            max_decoding_length=begin + longest,
            min_decoding_length=0,
            **options,
        )
        outputs = [([int(word) for word in result.hypotheses[0]], result.scores[0]) for result in results]
        return [(tokens[begin:], _log_prob(tokens, score, options)) for tokens, score in outputs]

    def _continue(self, prompts: list[list[int]], longest: int, options: dict[str, Any]) -> list[ScoredSequence]:
        """Run a decoder-only model: one continuation per prompt.

        Each call has prompts of one length: CTranslate2 would return the rest of a longer prompt as generated tokens.
        """
        continuations: dict[int, ScoredSequence] = {}
        for length in {len(prompt): None for prompt in prompts}:
            rows = [row for row, prompt in enumerate(prompts) if len(prompt) == length]
            results = self._runtime.generate_batch(
                _as_words([prompts[row] for row in rows]),
                include_prompt_in_result=False,
                max_length=longest,
                min_length=0,
                **options,
            )
            outputs = [(result.sequences_ids[0], result.scores[0]) for result in results]
            scored = [(tokens, _log_prob(tokens, score, options)) for tokens, score in outputs]
            continuations |= dict(zip(rows, scored, strict=True))
        return [continuations[row] for row in range(len(prompts))]

    def _log_probs(self, sources: list[list[int]], sequences: list[list[int]]) -> list[list[float]]:
        """Return the log-probability of each token of sequences that end in EOS."""
        if self.model.family.is_encoder_decoder:
            targets = _as_words([[*self.prefix, *tokens[:-1]] for tokens in sequences])  # score_batch appends EOS
            results = self._runtime.score_batch(_as_words(sources), targets, max_input_length=0)
        else:
            joined = [prompt + tokens for prompt, tokens in zip(sources, sequences, strict=True)]
            results = self._runtime.score_batch(_as_words(joined), max_input_length=0)
        return [result.log_probs[-len(tokens) :] for result, tokens in zip(results, sequences, strict=True)]

    def _largest_difference(self) -> float:
        """Return the largest difference of the runtimes' log-probabilities, in nats, on random sequences."""
        model, rng = self.model, np.random.default_rng(0)
        special = {model.eos_token_id, model.pad_token_id}
        words = [token for token in range(model.module.config.vocab_size) if token not in special]
        sources, texts = (rng.choice(words, (CHECKED_SEQUENCES, CHECKED_LENGTH)).tolist() for _ in range(2))
        sequences = [[*text, model.eos_token_id] for text in texts]
        labels = label_batch(sequences, model.device)
        expected = sequence_log_probs(model, source_batch(model, sources), labels)
        log_probs = torch.tensor(self._log_probs(sources, sequences), device=model.device)
        return (log_probs - expected).abs().max().item()


def _log_prob(tokens: list[int], score: float, options: dict[str, Any]) -> float:
    """Return the log-probability of a sequence, given the score that beam search normalises by length."""
    return score * len(tokens) ** options["length_penalty"]


def _as_words(rows: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[str(token) for token in row] for row in rows]


class _TokenIds:
    """The tokenizer that CTranslate2's converters require: the word of a token is its id."""

    def __init__(self, model: LanguageModel):
        self.vocab_size = model.module.config.vocab_size
        self.eos_token = self.bos_token = self.unk_token = str(model.eos_token_id)  # only EOS is used
        self.pad_token = str(model.pad_token_id)

    def get_vocab(self) -> dict[str, int]:
        return {str(token): token for token in range(self.vocab_size)}

    def convert_ids_to_tokens(self, token: int) -> str:
        return str(token)


def _converted_files(model: LanguageModel) -> dict[str, bytes]:
    """Convert a model to the files that CTranslate2 reads; raises what its converters raise for unknown features."""
    from ctranslate2.converters import transformers as converters

    module = copy.copy(model.module)
    module.config = copy.deepcopy(module.config)
    if model.family.positions_key == "max_position_embeddings":  # BART and its relatives
        # The loaders for the relatives drop the pad token, or use names that transformers 5 does not have.
        encoder = module.get_submodule(model.family.stacks["encoder"].module)
        module.config.normalize_before = hasattr(encoder, "layer_norm")
        module.config.normalize_embedding = hasattr(encoder, "layernorm_embedding")
        loader = converters.BartLoader()
    else:
        loader = {"t5": converters.T5Loader, "gpt2": converters.GPT2Loader}[module.config.model_type]()
    spec = loader(module, _TokenIds(model))
    if model.family.is_encoder_decoder:
        spec.config.decoder_start_token = str(model.decoder_prompt[0])
    spec.validate()
    spec.optimize()
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
