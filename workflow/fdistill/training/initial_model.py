"""A task's first model: a pretrained checkpoint, or random weights with a new tokenizer.

A teacher is fine-tuned from it, or it is a student that copies no layers.
"""

import argparse
import logging
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from fdistill.artifacts.files import read_parquet
from fdistill.config import arguments, cli, schema_flags
from fdistill.config.model_checks import SCRATCH
from fdistill.data.limits import Limits
from fdistill.data.schemas import SPLIT
from fdistill.models import checkpoints
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.families import FAMILIES, check_family
from fdistill.models.outlines import Outline
from fdistill.models.tokenization import train_tokenizer
from fdistill.models.vocabularies import with_tokenizer_of
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the model that `initial_model` makes."""
    parser.add_argument("--family", required=True, choices=FAMILIES, help="model family")
    parser.add_argument(
        "--init", required=True, help=f"folder, GGUF file or hub id of a pretrained checkpoint, or `{SCRATCH}`"
    )
    parser.add_argument("--adapter", help="folder or hub id of a LoRA adapter of it, to merge (default: none)")
    parser.add_argument(
        "--model-config",
        type=arguments.json_mapping,
        default={},
        metavar="JSON",
        help=f"keyword arguments of the family's transformers configuration class, with --init {SCRATCH}",
    )
    schema_flags.add_flags(parser, "model.teacher", keys=("vocab_size",))
    cli.add_checkpoint_flags(parser)


def initial_model(
    args: argparse.Namespace, limits: Limits, device: str, key: str, teacher: Outline | None = None
) -> Checkpoint:
    """Return the model that the flags of `add_model_flags` say; `args.train` and `args.seed` are those of its task.

    `key` names its settings in messages. With a `teacher` the model has the teacher's tokenizer, for which a checkpoint
    must have its vocabulary. Raises UserError as `from_scratch`, `check_family` and `with_tokenizer_of` do.
    """
    if args.init == SCRATCH:
        tokenizer = (
            tokenizer_of_texts(args.family, args.vocab_size, args.train, limits)
            if teacher is None
            else teacher.tokenizer
        )
        made = checkpoints.from_scratch(FAMILIES[args.family], args.model_config, tokenizer, args.seed, f"{key}.config")
        made.model.module.to(device)
    else:
        languages = (args.source_language, args.target_language)
        made = pretrained_model(args.init, limits, device, *languages, args.allow_pickle, args.adapter)
        of_student = key == "model.student"
        check_family(args.init, made.config.model_type, args.family, f"{key}.family" if of_student else "model.family")
    if teacher is None:
        return made
    try:
        return with_tokenizer_of(teacher, made)
    except UserError as error:
        raise UserError(f"{key}: {error}") from None


def tokenizer_of_texts(family_name: str, vocab_size: int, train: Path, limits: Limits) -> PreTrainedTokenizerBase:
    """Return a tokenizer of a family that is trained on the texts of the split `train`."""
    family, (columns, _) = FAMILIES[family_name], read_parquet(train, SPLIT)
    suffix = limits.suffix(continues=not family.is_encoder_decoder)
    sources = [f"{limits.source_prefix}{source}{suffix}" for source in columns["source"]]
    targets = [references[0] for references in columns["references"]]
    return train_tokenizer(sources + targets, vocab_size, family, limits.symbols)


def pretrained_model(
    name: str,
    limits: Limits,
    device: str,
    source_language: str | None = None,
    target_language: str | None = None,
    allow_pickle: bool = False,
    adapter: str | None = None,
) -> Checkpoint:
    """Return the model in a folder or with a hub id `name` (see `checkpoints.load`), with its adapter if it has one.

    Logs a warning when a T5 checkpoint was not trained with `limits.source_prefix`.
    """
    read = checkpoints.load(
        name, device, source_language, target_language, allow_pickle, adapter=adapter, is_chat=limits.chat_template
    )
    prefixes = read.source_prefixes
    if prefixes and limits.source_prefix not in prefixes:
        log.warning(
            "text.source_prefix is %r, none of those that %s was trained with: %s",
            limits.source_prefix,
            name,
            ", ".join(map(repr, prefixes)),
        )
    return read
