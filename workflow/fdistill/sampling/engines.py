"""What draws off line: transformers with our own loop, the reference, or CTranslate2, another runtime for the model.

An engine draws one sequence for each source of a batch. What it draws depends on the batch and the seed alone.
"""

import copy
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fdistill.data.batches import label_batch, source_batch
from fdistill.models.language_model import LanguageModel, Source
from fdistill.runtime.errors import UserError
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS, refusals
from fdistill.sampling.sampler import (
    ANCESTRAL,
    Samples,
    SamplingConfig,
    mixed_seed,
    mode_settings,
    sample_batch,
    sequence_log_probs,
)

# Sources, how to draw, what seeds the batch, and the numbers of its rows.
Engine = Callable[[Source, SamplingConfig, Sequence[int], Sequence[int]], Samples]

_Scored = tuple[list[int], float]  # a sequence's tokens, and its log-probability

TOLERANCE = 0.01  # nats per token between the two runtimes; rounding alone is below 1e-4 on a CPU
PROBES, PROBE_LENGTH = 4, 6  # random sequences that they are compared on


def engine_for(name: str, model: LanguageModel, sampling: SamplingConfig) -> Engine:
    """The engine of a name, for sequences of `model`; UserError where it cannot draw them as `sampling` says."""
    if name == TRANSFORMERS:
        return partial(sample_batch, model)
    for key, reason in refusals({"mode": sampling.mode} | mode_settings(sampling.mode, sampling.options)):
        raise UserError(f"{key}: {reason}")
    runtime = CTranslate2(model)
    if sampling.options.get("num_beams", 1) > 1 and runtime.prefix:  # it would count it among a sequence's tokens
        raise _refused("it searches otherwise after a decoder prompt of several tokens (mBART-50)")
    return runtime.sample_batch


def version_of(name: str) -> dict[str, str]:
    """What an engine adds to the versions that decide the numbers; UserError where its package is not installed."""
    if name == TRANSFORMERS:
        return {}
    try:
        return {name: version(name)}
    except PackageNotFoundError:
        raise _refused(f"the package is not installed; pip install {name}") from None


def _refused(why: str) -> UserError:
    return UserError(f"engine {CTRANSLATE2}: {why}; use engine {TRANSFORMERS}")


class CTranslate2:
    """A model in CTranslate2's runtime, in float32, on the device that the model is on. Token ids are its words."""

    def __init__(self, model: LanguageModel):
        """Raises UserError when the model cannot be converted, or has other probabilities afterwards."""
        version_of(CTRANSLATE2)
        import ctranslate2

        if model.is_sharded:
            raise _refused("it needs the model's weights whole, and they are shared among GPUs")
        model.module.eval()
        self.model = model
        self.prefix = model.decoder_prompt[1:]  # what the decoder reads after its start token, and gives back
        self._set_seed = ctranslate2.set_random_seed
        try:
            self._open = partial(
                ctranslate2.Translator if model.family.is_encoder_decoder else ctranslate2.Generator,
                "model",
                files=_converted(model),
                device=model.device.type,
                device_index=model.device.index or 0,
                compute_type="float32",
                inter_threads=1,
                intra_threads=torch.get_num_threads(),
            )
            self._runtime = self._open()
            apart = self._difference()
        except (AttributeError, KeyError, RuntimeError, ValueError) as error:  # a feature or a library that it lacks
            raise _refused(f"it cannot run this model ({type(error).__name__}: {error})") from None
        if not apart <= TOLERANCE:
            raise _refused(f"its log-probabilities are not this model's (up to {apart:.2g} nats apart)")

    def sample_batch(
        self, source: Source, sampling: SamplingConfig, seed: Sequence[int], rows: Sequence[int]
    ) -> Samples:
        """As `sampling.sample_batch`. Every mode draws by the whole batch; `rows` are part of its seed."""
        if sampling.mode == ANCESTRAL:  # its threads read the seed at their first draw: a new runtime has new ones
            self._set_seed(mixed_seed(*seed, *rows) % 2**32)
            self._runtime = self._open()
        options = {
            "beam_size": sampling.options.get("num_beams", 1),
            "length_penalty": 0.0 if sampling.mode == ANCESTRAL else sampling.options.get("length_penalty", 1.0),
            "return_scores": True,
            "sampling_topk": 0 if sampling.mode == ANCESTRAL else 1,  # 0: from all tokens
            "return_end_token": True,  # which then counts in a sequence's length, as with transformers
        }
        sources = [ids[mask.bool()].tolist() for ids, mask in zip(source.input_ids, source.attention_mask, strict=True)]
        answer = self._translate if self.model.family.is_encoder_decoder else self._continue
        sequences, log_probs = zip(*answer(sources, sampling.max_new_tokens, options), strict=True)
        finished = [tokens[-1] == self.model.eos_token_id for tokens in sequences]
        device = self.model.device
        labels = label_batch(sequences, device)
        return Samples(labels, torch.tensor(finished, device=device), torch.tensor(log_probs, device=device))

    def _translate(self, sources: list[list[int]], longest: int, options: dict[str, Any]) -> list[_Scored]:
        begin = len(self.prefix)
        results = self._runtime.translate_batch(
            _words(sources),
            target_prefix=_words([self.prefix] * len(sources)) if begin else None,
            max_input_length=0,  # no limit
            max_decoding_length=begin + longest,
            min_decoding_length=0,
            **options,
        )
        found = [([int(word) for word in result.hypotheses[0]], result.scores[0]) for result in results]
        return [(tokens[begin:], _log_prob(tokens, score, options)) for tokens, score in found]

    def _continue(self, prompts: list[list[int]], longest: int, options: dict[str, Any]) -> list[_Scored]:
        """Prompts of one length at a time: it would take the rest of longer ones for tokens of their answers."""
        answers: dict[int, _Scored] = {}
        for length in {len(prompt): None for prompt in prompts}:
            numbers = [number for number, prompt in enumerate(prompts) if len(prompt) == length]
            results = self._runtime.generate_batch(
                _words([prompts[number] for number in numbers]),
                include_prompt_in_result=False,
                max_length=longest,
                min_length=0,
                **options,
            )
            found = [(result.sequences_ids[0], result.scores[0]) for result in results]
            scored = [(tokens, _log_prob(tokens, score, options)) for tokens, score in found]
            answers |= dict(zip(numbers, scored, strict=True))
        return [answers[number] for number in range(len(prompts))]

    def _log_probs(self, sources: list[list[int]], sequences: list[list[int]]) -> list[list[float]]:
        """Of each token of sequences that end in EOS."""
        if self.model.family.is_encoder_decoder:
            targets = _words([[*self.prefix, *tokens[:-1]] for tokens in sequences])  # it adds EOS
            results = self._runtime.score_batch(_words(sources), targets, max_input_length=0)
        else:
            whole = [prompt + tokens for prompt, tokens in zip(sources, sequences, strict=True)]
            results = self._runtime.score_batch(_words(whole), max_input_length=0)
        return [result.log_probs[-len(tokens) :] for result, tokens in zip(results, sequences, strict=True)]

    def _difference(self) -> float:
        """The largest between the two runtimes' log-probabilities of the tokens of a few random sequences."""
        model, rng = self.model, np.random.default_rng(0)
        special = {model.eos_token_id, model.pad_token_id}
        words = [token for token in range(model.module.config.vocab_size) if token not in special]
        sources, texts = (rng.choice(words, (PROBES, PROBE_LENGTH)).tolist() for _ in range(2))
        sequences = [[*text, model.eos_token_id] for text in texts]
        labels = label_batch(sequences, model.device)
        expected = sequence_log_probs(model, source_batch(model, sources), labels)
        found = torch.tensor(self._log_probs(sources, sequences), device=model.device)
        return (found - expected).abs().max().item()


def _log_prob(tokens: list[int], score: float, options: dict[str, Any]) -> float:
    """Of the whole sequence, from the score by which a search compares sequences of all lengths."""
    return score * len(tokens) ** options["length_penalty"]


def _words(rows: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[str(token) for token in row] for row in rows]


class _TokenIds:
    """The tokenizer that CTranslate2's converters ask for: each token id is the word of itself."""

    def __init__(self, model: LanguageModel):
        self.vocab_size = model.module.config.vocab_size
        self.eos_token = self.bos_token = self.unk_token = str(model.eos_token_id)  # only EOS is used
        self.pad_token = str(model.pad_token_id)

    def get_vocab(self) -> dict[str, int]:
        return {str(token): token for token in range(self.vocab_size)}

    def convert_ids_to_tokens(self, token: int) -> str:
        return str(token)


def _converted(model: LanguageModel) -> dict[str, bytes]:
    """The files that CTranslate2 reads the model from. Raises what its converters do for what they do not know."""
    from ctranslate2.converters import transformers as converters

    module = copy.copy(model.module)
    module.config = copy.deepcopy(module.config)
    if model.family.positions_key == "max_position_embeddings":  # BART and its kin
        # Its own converters for the kin drop the pad token or read names that transformers 5 does not have.
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
