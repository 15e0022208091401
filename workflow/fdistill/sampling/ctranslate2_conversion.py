"""Conversion of a model of transformers to CTranslate2: the files that its runtime reads."""

import copy
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from fdistill.models.families import NEVER
from fdistill.models.language_model import LanguageModel
from fdistill.runtime.errors import UserError
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS, not_computed

FLOAT32, INT8 = "float32", "int8"
# What its converters and its runtime raise for a feature of a model that they do not support.
FAILURES = (AttributeError, KeyError, RuntimeError, ValueError)


def unsupported(reason: str) -> UserError:
    """Return the error that CTranslate2 cannot be used, with the reason and the remedy."""
    return UserError(f"engine {CTRANSLATE2}: {reason}; use engine {TRANSFORMERS}")


def cannot_run(error: Exception) -> UserError:
    """Return the error for one of FAILURES."""
    return unsupported(f"it cannot run this model ({type(error).__name__}: {error})")


def package_version() -> str:
    """Return the version of the package; UserError where it is not installed."""
    try:
        return version(CTRANSLATE2)
    except PackageNotFoundError:
        raise unsupported(f"the package is not installed; pip install {CTRANSLATE2}") from None


def converted_files(
    model: LanguageModel, words: Sequence[str] | None = None, weights: str = FLOAT32
) -> dict[str, bytes]:
    """Convert a model, with `weights` in FLOAT32 or INT8, to the files that CTranslate2 reads, by name.

    `words` (V,) are the names of the token ids in its vocabulary, which must differ; by default the ids as text.
    Raises one of FAILURES for unknown features, UserError for a family that it does not compute as transformers does.
    """
    if reason := not_computed(model.module.config.model_type):
        raise unsupported(reason)
    from ctranslate2.converters import transformers as converters

    # The converters take modules apart and quantise weights in place: without a copy, the model itself would be
    # changed. Weights that stay as they are need none.
    tensors = (*model.module.parameters(), *model.module.buffers()) if weights == FLOAT32 else ()
    module = copy.deepcopy(model.module, {id(tensor): tensor for tensor in tensors})
    loader = getattr(converters, model.family.ctranslate2)()
    if isinstance(loader, converters.BartLoader) and model.family.is_encoder_decoder:  # BART and its relatives
        # The loaders for the relatives drop the pad token, or use names that transformers 5 does not have.
        encoder = module.get_submodule(model.family.stacks["encoder"].module)
        module.config.normalize_before = hasattr(encoder, "layer_norm")
        module.config.normalize_embedding = hasattr(encoder, "layernorm_embedding")
    words = list(map(str, range(module.config.vocab_size))) if words is None else words
    spec = loader(module, _Words(model, words))
    if model.family.is_encoder_decoder:
        spec.config.decoder_start_token = words[model.decoder_prompt[0]]
    else:
        spec.register_vocabulary(words)  # OPT's loader would round its size up, beyond the embeddings
    _exclude_spare_rows(spec.decoder.projection, model.vocabulary, module.config.vocab_size)
    spec.validate()
    spec.optimize(quantization=None if weights == FLOAT32 else weights)
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _exclude_spare_rows(projection: Any, vocabulary: int, rows: int) -> None:
    """Give the rows beyond the vocabulary no probability, by the output layer's bias."""
    if vocabulary < rows:
        bias = projection.bias.clone() if projection.has_bias() else torch.zeros(rows)
        bias[vocabulary:] = NEVER
        projection.bias = bias


class _Words:
    """The tokenizer that CTranslate2's converters require: the names of the token ids."""

    def __init__(self, model: LanguageModel, words: Sequence[str]):
        self.words = words
        self.eos_token = self.bos_token = self.unk_token = words[model.eos_token_id]  # only EOS is used
        self.pad_token = words[model.pad_token_id]

    def get_vocab(self) -> dict[str, int]:
        return {word: token for token, word in enumerate(self.words)}

    def convert_ids_to_tokens(self, token: int) -> str:
        return self.words[token]
