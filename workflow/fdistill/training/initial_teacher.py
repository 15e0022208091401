"""The model that a teacher is fine-tuned from: a pretrained checkpoint, or random weights with a new tokenizer."""

import logging
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_parquet
from fdistill.data.encoding import Limits
from fdistill.data.schemas import SPLIT
from fdistill.models import checkpoints
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.families import FAMILIES
from fdistill.models.tokenization import train_tokenizer
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)


def teacher_from_scratch(
    family_name: str, config: dict[str, Any], vocab_size: int, train: Path, limits: Limits, seed: int, device: str
) -> Checkpoint:
    """Return a teacher with random weights, and a tokenizer trained on the texts of the split `train`.

    `config` contains keyword arguments of the family's transformers configuration. Raises UserError for a key or value
    that the configuration does not accept.
    """
    family = FAMILIES[family_name]
    columns, _ = read_parquet(train, SPLIT)
    sources = [limits.source_prefix + source for source in columns["source"]]
    targets = [references[0] for references in columns["references"]]
    tokenizer = train_tokenizer(sources + targets, vocab_size, family, limits.symbols)
    teacher = checkpoints.from_scratch(family, config, tokenizer, seed)
    teacher.model.module.to(device)
    return teacher


def pretrained_teacher(
    name: str,
    family_name: str,
    limits: Limits,
    device: str,
    source_language: str | None = None,
    target_language: str | None = None,
    allow_pickle: bool = False,
) -> Checkpoint:
    """Return the teacher in a folder or with a hub id `name` (see `checkpoints.load`).

    Raises UserError when it belongs to another family. Logs a warning when a T5 checkpoint was not trained with
    `limits.source_prefix`.
    """
    teacher = checkpoints.load(name, device, source_language, target_language, allow_pickle)
    model_type = teacher.model.module.config.model_type
    if model_type != family_name:
        raise UserError(f"model.family: {name} is a {model_type} model, not {family_name}; set its family")
    prefixes = teacher.source_prefixes
    if prefixes and limits.source_prefix not in prefixes:
        log.warning(
            "text.source_prefix is %r, none of those that %s was trained with: %s",
            limits.source_prefix,
            name,
            ", ".join(map(repr, prefixes)),
        )
    return teacher
