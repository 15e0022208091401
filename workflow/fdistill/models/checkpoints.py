"""Checkpoints: reading and writing a transformers model folder (safetensors) with its tokenizer."""

import hashlib
import json
import logging
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

from fdistill.artifacts import journal
from fdistill.artifacts.atomic import atomic
from fdistill.artifacts.files import note_input
from fdistill.artifacts.manifest import check_files, write_manifest
from fdistill.artifacts.records import MANIFEST
from fdistill.models.architectures import model_class, wrap
from fdistill.models.checkpoint_files import NO_SAFETENSORS, check_content, check_names, read_object, stored_shapes
from fdistill.models.configurations import read_configuration, scratch_configuration, without_numbers
from fdistill.models.families import Family
from fdistill.models.language_model import LanguageModel
from fdistill.models.location import CONFIG, WEIGHTS, files_of, local_folder
from fdistill.models.tokenization import decoder_prompt, has_languages, save_tokenizer, set_languages
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import show

log = logging.getLogger(__name__)

transformers.utils.logging.disable_progress_bar()  # `runtime.progress` reports instead
transformers.utils.logging.set_verbosity_error()  # what its warnings are about, `load` checks and says
# MarianTokenizer recommends a normaliser that it does not use.
warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")

MOST_TOKENS = 10**7  # far above any vocabulary

# Entries of a checkpoint that are not weights: masks and position counters, which older versions of transformers saved.
_NOT_WEIGHTS = re.compile(r"(^|\.)(attn\.(masked_)?bias|position_ids|version)$")

# Keys of a generation config that describe the model, not decoding.
_NOT_DECODING = {"transformers_version", "_from_model_config", "use_cache", "output_attentions", "output_hidden_states"}


@dataclass
class Checkpoint:
    """A model with its tokenizer.

    `source_prefixes` are the ones that the checkpoint's configuration recommends for some tasks (T5).
    """

    model: LanguageModel
    tokenizer: PreTrainedTokenizerBase
    source_prefixes: tuple[str, ...] = ()

    def __post_init__(self):
        """Set the side on which the tokenizer cuts and pads sources."""
        self.tokenizer.truncation_side = self.tokenizer.padding_side = self.model.family.source_side


def load(
    name: str | Path,
    device: str = "cpu",
    source_language: str | None = None,
    target_language: str | None = None,
    allow_pickle: bool = False,
    reports_decoding: bool = True,
) -> Checkpoint:
    """Load a local folder or a hub id, in float32; from safetensors only, unless `allow_pickle`.

    The checkpoint's decoding settings are dropped, which the log says with `reports_decoding`. The language codes are
    for a tokenizer that marks texts with them (mBART) and is not saved with the right ones.
    Raises UserError when the checkpoint cannot be found or read, is of an unknown family, has missing, unused or
    infinite weights, or differs from the manifest that `save` wrote.
    """
    folder = local_folder(name)
    check_files(Path(name) if folder is None else folder)
    outline = describe(name, allow_pickle)
    with reading(name):
        module, report = _read_model(outline, allow_pickle)
        _check_weights(name, report)
        _check_finite(name, module)
        _note_input(name, outline.config)
    tokenizer = outline.tokenizer
    set_languages(tokenizer, name, source_language, target_language)
    if tokenizer.pad_token is None:  # GPT-2, DialoGPT; no mask is made from pad tokens, so EOS can serve
        tokenizer.pad_token = tokenizer.eos_token
    module.config.pad_token_id = tokenizer.pad_token_id
    with reading(name):
        prefixes = _source_prefixes(outline.config)
        _drop_decoding(name, module, reports_decoding)
        return Checkpoint(wrap(module.to(device), decoder_prompt(tokenizer)), tokenizer, prefixes)


@dataclass(frozen=True)
class Outline:
    """A checkpoint without the numbers of its weights."""

    source: str  # the argument of `from_pretrained`: a folder, or a hub id
    config: PreTrainedConfig
    family: Family
    tokenizer: PreTrainedTokenizerBase


def describe(name: str | Path, allow_pickle: bool = False) -> Outline:
    """Return what can be seen of a checkpoint without reading its weights.

    Raises UserError for whatever `load` would refuse, except the numbers of the weights; of a hub id only configuration
    and tokenizer are read.
    """
    folder = local_folder(name)
    if folder is not None:
        if not folder.is_dir():
            raise UserError(f"{name}: there is no such folder; give one that `save_pretrained` wrote, or a hub id")
        check_names(str(name), {file.name for file in folder.iterdir()}, allow_pickle)
        check_content(folder)
    source = str(folder or name)
    with reading(name):
        config, family = read_configuration(source)
        if not getattr(config, "share_encoder_decoder_embeddings", True):  # some of Marian's
            raise UserError(
                f"{name}: has separate vocabularies for sources and targets; give a checkpoint with a shared one"
            )
        tokenizer = _read_tokenizer(name, source, config, family)
        outline = Outline(source, config, family, tokenizer)
        if folder is not None:
            _check_shapes(name, outline, stored_shapes(folder))
    return outline


@contextmanager
def reading(name: str | Path) -> Iterator[None]:
    """Turn whatever transformers, tokenizers and safetensors raise for a bad checkpoint into a UserError.

    They raise errors of any type, and tokenizers' panics are not even of type Exception.
    """
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        first, *_ = (str(error).strip() or "no reason given").splitlines()
        reason = first if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {first}"
        raise UserError(
            f"{name}: cannot be loaded as a model ({reason}); give a folder that `save_pretrained` wrote "
            "or a hub id that this machine can reach"
        ) from None


def _read_tokenizer(name: str | Path, source: str, config: PreTrainedConfig, family: Family) -> PreTrainedTokenizerBase:
    """Return the tokenizer. Raises UserError when it does not belong to the model of `config`."""
    settings = Path(source) / "tokenizer_config.json"
    if settings.is_file():  # of a hub id, it is not on this machine yet
        for key, value in read_object(settings).items():  # such as T5's extra_ids, which become a list of tokens
            if isinstance(value, int) and value > MOST_TOKENS and key not in ("max_length", "model_max_length"):
                raise UserError(f"{settings}: {key}: {show(value)} is not allowed; must be at most {MOST_TOKENS}")
            if key == "model_max_length" and not isinstance(value, int | float):
                raise UserError(f"{settings}: {key}: {show(value)} is not allowed; must be a number")
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    highest = max(tokenizer.get_vocab().values(), default=0)
    if highest >= config.vocab_size:  # more rows than tokens are fine: T5's are rounded up
        raise UserError(
            f"{name}: the tokenizer has token ids up to {highest}, but the model has only {config.vocab_size} "
            "embeddings; give a tokenizer and a model that belong together"
        )
    if tokenizer.eos_token_id is None:
        raise UserError(f"{name}: the tokenizer has no EOS token (eos_token), which ends every text; set it")
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    if tokenizer.eos_token_id not in ends:
        raise UserError(
            f"{name}: EOS is token {tokenizer.eos_token_id} to the tokenizer and {show(config.eos_token_id)} in "
            f"{CONFIG}; give a tokenizer and a model that belong together"
        )
    config.eos_token_id = tokenizer.eos_token_id
    has_start = getattr(config, "decoder_start_token_id", None) is not None or has_languages(tokenizer)
    if family.is_encoder_decoder and not has_start:
        raise UserError(f"{name}: has no decoder_start_token_id, the first token of its decoder; set it in {CONFIG}")
    return tokenizer


def _check_shapes(name: str | Path, outline: Outline, stored: dict[str, Tensor]) -> None:
    """Raise UserError when the stored weights are integers, or are not those of the configuration's model."""
    integers = [
        key for key, weight in stored.items() if not weight.is_floating_point() and not _NOT_WEIGHTS.search(key)
    ]
    if integers:
        raise UserError(
            f"{name}: {len(integers)} weights are stored as integers (first: {integers[0]}), as of a quantised model; "
            "give the unquantised one"
        )
    without_numbers(outline.config, outline.family, f"{Path(outline.source) / CONFIG}")
    floats = {key: weight.float() for key, weight in stored.items()}
    placed = {"pretrained_model_name_or_path": None, "state_dict": floats, "device_map": {"": "meta"}}
    _check_weights(name, _from_pretrained(outline, **placed)[1])


def _from_pretrained(outline: Outline, **options: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return the model, and transformers' report on missing, unexpected and mismatched weights."""
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()  # `_check_weights` says what is wrong
    try:
        return model_class(outline.family).from_pretrained(
            config=outline.config,
            dtype=torch.float32,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # `_check_weights` refuses them, together with missing weights
            output_loading_info=True,
            **options,
        )
    finally:
        transformers.utils.logging.set_verbosity(verbosity)


def _read_model(outline: Outline, allow_pickle: bool) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Read the model from safetensors, or else from a pickle where that is allowed."""
    source = {"pretrained_model_name_or_path": outline.source}
    try:
        return _from_pretrained(outline, **source, use_safetensors=True)
    except OSError as error:
        if WEIGHTS not in str(error).strip().partition("\n")[0]:
            raise
        if not allow_pickle:
            raise UserError(f"{outline.source}: {NO_SAFETENSORS}") from None
    return _from_pretrained(outline, **source, use_safetensors=False, weights_only=True)


def _note_input(name: str | Path, config: PreTrainedConfig) -> None:
    """Note a checkpoint from elsewhere as an input, by its files or hub revision; `check_files` notes our own."""
    folder = local_folder(name)
    if folder is None:
        if revision := getattr(config, "_commit_hash", None):
            journal.note_input(name, revision)
    elif not (folder / MANIFEST).is_file():
        for file in files_of(folder):
            note_input(file)


def _check_weights(name: str | Path, report: dict[str, Any]) -> None:
    """Raise UserError for missing, mismatched or unused weights, for which transformers only warns."""
    wrong = sorted(report["missing_keys"]) + sorted(key for key, *_ in report["mismatched_keys"])
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


def _check_finite(name: str | Path, module: PreTrainedModel) -> None:
    """Raise UserError for a weight that is infinite or not a number: the model would repeat one token for ever."""
    for key, weight in module.state_dict().items():
        if weight.is_floating_point() and weight.numel():
            lowest, highest = torch.aminmax(weight)  # either is NaN if any number is
            if not (lowest.isfinite() and highest.isfinite()):
                raise UserError(
                    f"{name}: the weight {key} contains infinite numbers or NaN; give a checkpoint whose training did "
                    "not diverge"
                )


def _source_prefixes(config: PreTrainedConfig) -> tuple[str, ...]:
    """Return the source prefixes of `task_specific_params`, in order."""
    tasks = getattr(config, "task_specific_params", None) or {}
    return tuple(dict.fromkeys(task["prefix"] for task in tasks.values() if task.get("prefix", "").strip()))


def _drop_decoding(name: str | Path, module: PreTrainedModel, reports: bool) -> None:
    """Drop the checkpoint's decoding settings, and log them if it `reports`; `save` then writes none."""
    tokens = {"bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"}
    settings = module.generation_config.to_diff_dict()
    dropped = [f"{key} {value}" for key, value in sorted(settings.items()) if key not in tokens | _NOT_DECODING]
    tasks = module.config.__dict__.pop("task_specific_params", None) or {}
    module.config.__dict__.pop("prefix", None)
    if tasks:
        dropped.append(f"task_specific_params of {', '.join(tasks)}")
    if dropped and reports:
        log.info(
            "%s: generation settings of the checkpoint are ignored, the task has its own: %s", name, "; ".join(dropped)
        )


def save(
    checkpoint: Checkpoint,
    path: Path | str,
    manifest: dict[str, Any] | None = None,
    weights: dict[str, Tensor] | None = None,
) -> None:
    """Write model, tokenizer and `manifest` (how the model was made), with every file's hash, to `path`, atomically.

    `weights` replace the model's own if it is sharded (see `fdistill.models.fsdp`).
    """
    with atomic(path, directory=True) as folder:
        checkpoint.model.module.save_pretrained(folder, state_dict=weights)
        save_tokenizer(checkpoint.tokenizer, folder)
        if manifest is not None:
            write_manifest(folder, manifest)


def from_scratch(family: Family, config: dict[str, Any], tokenizer: PreTrainedTokenizerBase, seed: int) -> Checkpoint:
    """Return a randomly initialised model; `config` holds keyword arguments of the family's `config_class`.

    Raises UserError for a key or a value that the configuration class does not accept.
    """
    ids = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id,
    }
    if family.is_encoder_decoder:
        ids["decoder_start_token_id"] = getattr(tokenizer, f"{family.decoder_start}_id")
    configuration = scratch_configuration(family, config, ids)
    without_numbers(configuration, family, "model.teacher.config")
    torch.manual_seed(seed)
    module = model_class(family)(configuration)
    return Checkpoint(wrap(module), tokenizer)


def tokenizer_identity(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the SHA-256 of the vocabulary and the special tokens: what each token id means."""
    content = {"vocabulary": tokenizer.get_vocab(), "special": tokenizer.special_tokens_map}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def check_same_vocabulary(teacher: Checkpoint, student: Checkpoint) -> None:
    """Raise UserError unless teacher and student have the same vocabulary, over which they can be compared."""
    sizes = [checkpoint.model.module.config.vocab_size for checkpoint in (teacher, student)]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"teacher and student have different vocabularies ({sizes[0]} and {sizes[1]} tokens); "
            "initialise the student from this teacher (rule init_student)"
        )
    if tokenizer_identity(teacher.tokenizer) != tokenizer_identity(student.tokenizer):
        raise UserError(
            "teacher and student have different tokenizers of the same size; "
            "initialise the student from this teacher (rule init_student)"
        )
