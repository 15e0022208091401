"""The outline of a checkpoint: what can be seen of it, and refused, without the numbers of its weights."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import cached_file

from fdistill.artifacts.records import MANIFEST
from fdistill.models.architectures import model_class
from fdistill.models.checkpoint_files import COPY, check_content, check_names, read_object, stored_shapes
from fdistill.models.configurations import gguf_configuration, read_configuration, without_numbers
from fdistill.models.families import Family
from fdistill.models.gguf_files import ORIGINAL, check_gguf, check_tensors
from fdistill.models.language_model import end_tokens
from fdistill.models.location import ADAPTER_CONFIG, CONFIG, is_gguf, local_path
from fdistill.models.tokenization import check_can_be_saved, has_languages, set_sides
from fdistill.runtime.device import is_out_of_memory
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import show

transformers.utils.logging.disable_progress_bar()  # `runtime.progress` reports instead
transformers.utils.logging.set_verbosity_error()  # what its warnings are about, `check_weights` says
# MarianTokenizer recommends a normaliser that it does not use.
warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")

_SOURCE, _FILE = "pretrained_model_name_or_path", "gguf_file"
MOST_TOKENS = 10**7  # far above any vocabulary

# Entries of a checkpoint that are not weights: masks and position counters, which older versions of transformers saved.
_NOT_WEIGHTS = re.compile(r"(^|\.)(attn\.(masked_)?bias|position_ids|version)$")


@dataclass(frozen=True)
class Outline:
    """A checkpoint without the numbers of its weights."""

    source: dict[str, str]  # arguments of `from_pretrained`: a folder, perhaps with a GGUF file in it, or a hub id
    config: PreTrainedConfig
    family: Family
    tokenizer: PreTrainedTokenizerBase

    @property
    def is_gguf(self) -> bool:
        """Whether it is a GGUF file."""
        return _FILE in self.source


def describe(name: str | Path, allow_pickle: bool = False) -> Outline:
    """Return what can be seen of a checkpoint without reading its weights.

    Raises UserError for whatever `load` would refuse, except the numbers of the weights; of a hub id only configuration
    and tokenizer are read.
    """
    folder = local_path(name)
    if folder is not None and is_gguf(folder):
        return _describe_gguf(name, folder)
    if folder is not None:
        if not folder.is_dir():
            raise UserError(f"{name}: there is no such folder; give one that `save_pretrained` wrote, or a hub id")
        check_names(str(name), {file.name for file in folder.iterdir()}, allow_pickle)
        check_content(folder)
    source = str(folder or name)
    with reading(name):
        config, family = read_configuration(source)
        # transformers would look for an adapter beside a model on the hub, and apply it.
        if folder is None and cached_file(source, ADAPTER_CONFIG, _raise_exceptions_for_missing_entries=False):
            check_names(source, {ADAPTER_CONFIG}, allow_pickle)
        if not getattr(config, "share_encoder_decoder_embeddings", True):  # some of Marian's
            raise UserError(
                f"{name}: has separate vocabularies for sources and targets; give a checkpoint with a shared one"
            )
        _check_settings(Path(source) / "tokenizer_config.json")
        outline = _with_tokenizer(name, {_SOURCE: source}, config, family)
        if folder is not None:
            _check_shapes(name, folder, outline, stored_shapes(folder))
    return outline


def _describe_gguf(name: str | Path, file: Path) -> Outline:
    """The same of a GGUF file, whose weights' shapes are compared when they are read."""
    tensors, ends = check_gguf(file)
    source = {_SOURCE: str(file.parent), _FILE: file.name}
    with reading(name):
        config, family = gguf_configuration(file, ends)
        check_tensors(file, tensors, without_numbers(config, family, str(file)))
        return _with_tokenizer(name, source, config, family)


@contextmanager
def reading(name: str | Path) -> Iterator[None]:
    """Turn whatever transformers, tokenizers and safetensors raise for a bad checkpoint into a UserError.

    They raise errors of any type, and tokenizers' panics are not even of type Exception.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except BaseException as error:
        is_crash = not isinstance(error, Exception) and type(error).__name__ != "PanicException"
        if is_crash or is_out_of_memory(error):
            raise
        first, *_ = (str(error).strip() or "no reason given").splitlines()
        reason = first if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {first}"
        remedy = "give a folder that `save_pretrained` wrote or a hub id that this machine can reach"
        if (path := local_path(name)) is not None and is_gguf(path):
            remedy = f"copy the file again, or {ORIGINAL}"
        raise UserError(f"{name}: cannot be loaded as a model ({reason}); {remedy}") from None


def _check_settings(settings: Path) -> None:
    """Raise UserError for a tokenizer's numbers that transformers would make lists of, or cannot use."""
    if settings.is_file():  # of a hub id, it is not on this machine yet
        for key, value in read_object(settings).items():  # such as T5's extra_ids, which become a list of tokens
            if isinstance(value, int) and value > MOST_TOKENS and key not in ("max_length", "model_max_length"):
                raise UserError(f"{settings}: {key}: {show(value)} is not allowed; must be at most {MOST_TOKENS}")
            if key == "model_max_length" and not isinstance(value, int | float):
                raise UserError(f"{settings}: {key}: {show(value)} is not allowed; must be a number")


def _with_tokenizer(name: str | Path, source: dict[str, str], config: PreTrainedConfig, family: Family) -> Outline:
    """Return the outline with its tokenizer. Raises UserError when this does not belong to the model of `config`."""
    tokenizer = AutoTokenizer.from_pretrained(**source, trust_remote_code=False)
    set_sides(tokenizer, family)
    outline = Outline(source, config, family, tokenizer)
    vocabulary = tokenizer.get_vocab()
    highest = max(vocabulary.values(), default=0)
    if highest >= config.vocab_size and outline.is_gguf:
        added = ", ".join(token for token, number in vocabulary.items() if number >= config.vocab_size)
        raise UserError(
            f"{name}: transformers adds the token {added} to its vocabulary, which the model has no embedding for; "
            f"{ORIGINAL}"
        )
    if highest >= config.vocab_size:  # more rows than tokens are fine: T5's are rounded up
        raise UserError(
            f"{name}: the tokenizer has token ids up to {highest}, but the model has only {config.vocab_size} "
            "embeddings; give a tokenizer and a model that belong together"
        )
    if tokenizer.eos_token_id is None:
        raise UserError(f"{name}: the tokenizer has no EOS token (eos_token), which ends every text; set it")
    ends = end_tokens(config)
    if tokenizer.eos_token_id not in ends:
        raise UserError(
            f"{name}: EOS is token {tokenizer.eos_token_id} to the tokenizer and {show(config.eos_token_id)} in "
            f"{CONFIG}; give a tokenizer and a model that belong together"
        )
    if not Path(source[_SOURCE], MANIFEST).is_file():  # a checkpoint of this workflow has been saved before
        check_can_be_saved(name, tokenizer)
    # EOS first, which ends the targets; the others end a text that is generated, too.
    others = [token for token in ends if token != tokenizer.eos_token_id]
    config.eos_token_id = [tokenizer.eos_token_id, *others] if others else tokenizer.eos_token_id
    has_start = getattr(config, "decoder_start_token_id", None) is not None or has_languages(tokenizer)
    if family.is_encoder_decoder and not has_start:
        raise UserError(f"{name}: has no decoder_start_token_id, the first token of its decoder; set it in {CONFIG}")
    return outline


def _check_shapes(name: str | Path, folder: Path, outline: Outline, stored: dict[str, Tensor]) -> None:
    """Raise UserError when the stored weights are integers, or are not those of the configuration's model."""
    integers = [
        key for key, weight in stored.items() if not weight.is_floating_point() and not _NOT_WEIGHTS.search(key)
    ]
    if integers:
        raise UserError(
            f"{name}: {len(integers)} weights are stored as integers (first: {integers[0]}), as of a quantised model; "
            "give the unquantised one"
        )
    without_numbers(outline.config, outline.family, f"{folder / CONFIG}")
    floats = {key: weight.float() for key, weight in stored.items()}
    placed = {_SOURCE: None, "state_dict": floats, "device_map": {"": "meta"}}
    check_weights(name, outline, from_pretrained(outline, **placed)[1])


def from_pretrained(outline: Outline, **options: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return the model, and transformers' report on missing, unexpected and mismatched weights."""
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()  # `check_weights` says what is wrong
    try:
        return model_class(outline.family).from_pretrained(
            config=outline.config,
            dtype=torch.float32,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # `check_weights` refuses them, together with missing weights
            output_loading_info=True,
            **options,
        )
    finally:
        transformers.utils.logging.set_verbosity(verbosity)


def check_weights(name: str | Path, outline: Outline, report: dict[str, Any]) -> None:
    """Raise UserError for missing, mismatched or unused weights, for which transformers only warns."""
    wrong = sorted(report["missing_keys"]) + sorted(key for key, *_ in report["mismatched_keys"])
    if wrong and outline.is_gguf:
        raise UserError(
            f"{name}: {len(wrong)} weights are missing or of another shape than its keys say (first: {wrong[0]}); "
            f"{COPY}"
        )
    if wrong:
        raise UserError(
            f"{name}: {len(wrong)} weights are missing or of another shape than in config.json (first: {wrong[0]}); "
            "put the config.json of these weights in the folder, or give another checkpoint"
        )
    unused = sorted(key for key in report["unexpected_keys"] if not _NOT_WEIGHTS.search(key))
    if unused:
        raise UserError(
            f"{name}: {len(unused)} weights have no place in the model of config.json (first: {unused[0]}); "
            "config.json may have fewer layers than the weights: put the right config.json in the folder, "
            "or give another checkpoint"
        )
