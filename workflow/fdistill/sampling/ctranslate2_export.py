"""An exported model in CTranslate2: int8 weights, with the tokenizer's own tokens as vocabulary."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerBase

from fdistill.models.checkpoints import Checkpoint
from fdistill.models.decoding import effective
from fdistill.runtime.errors import UserError
from fdistill.sampling.ctranslate2_conversion import FAILURES, INT8, cannot_run, converted_files
from fdistill.sampling.ctranslate2_engine import CTranslate2
from fdistill.sampling.ctranslate2_runtime import search_options, shortest
from fdistill.sampling.engine_limits import differences
from fdistill.sampling.sampler import SamplingConfig

FOLDER = "ctranslate2-int8"  # in the exported folder


@dataclass(frozen=True)
class Conversion:
    """The converted `files` by name, or the reason why there are none, and how the runtime decodes.

    `options` are those of `translate_batch` or `generate_batch` for the task's decoding, and `differs` says what it
    does otherwise than transformers.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    missing: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    differs: tuple[str, ...] = ()


def convert(checkpoint: Checkpoint, decoding: dict[str, Any]) -> Conversion:
    """Convert a model to int8, once its float32 conversion computes the same as the model itself."""
    try:
        runtime = CTranslate2(checkpoint.model)
        words = token_names(checkpoint.tokenizer, checkpoint.model.module.config.vocab_size)
        files = converted_files(checkpoint.model, words, INT8)
    except UserError as error:
        return Conversion(missing=str(error))
    except FAILURES as error:
        return Conversion(missing=str(cannot_run(error)))
    sampling = SamplingConfig.from_decoding(effective(decoding))
    options = search_options(sampling) | _lengths(checkpoint, sampling)
    del options["return_scores"]
    if len(checkpoint.model.ends) > 1:  # the runtime's own default is EOS alone
        options["end_token"] = [words[end] for end in checkpoint.model.ends]
    of_model = runtime.search_difference(sampling)
    return Conversion(files, None, options, (*differences(sampling.options), *([of_model] if of_model else ())))


def token_names(tokenizer: PreTrainedTokenizerBase, size: int) -> list[str]:
    """Return the tokens of all ids of a model, which may have more rows than the tokenizer has tokens.

    The names differ, as CTranslate2 looks tokens up by them.
    """
    names: dict[str, int] = {}
    for token in range(size):
        name = tokenizer.convert_ids_to_tokens(token) if token < len(tokenizer) else None
        names[f"<unused {token}>" if name is None or name in names else name] = token
    return list(names)


def _lengths(checkpoint: Checkpoint, sampling: SamplingConfig) -> dict[str, int]:
    """The limits of an output, which count what the decoder is given after its start token."""
    if not checkpoint.model.family.is_encoder_decoder:
        return {"max_length": sampling.max_new_tokens, "min_length": shortest(sampling)}
    begin = len(checkpoint.model.decoder_prompt) - 1
    lengths = {"max_decoding_length": sampling.max_new_tokens, "min_decoding_length": shortest(sampling)}
    return {key: begin + length for key, length in lengths.items()} | {"max_input_length": 0}
