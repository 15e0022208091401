"""The sizes of a task's models, built on torch's meta device from a configuration of a few kilobytes."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from transformers import AutoConfig, PreTrainedConfig

from fdistill.config.model_checks import SCRATCH
from fdistill.data.encoding import Limits, check_positions
from fdistill.models.architectures import model_class, wrap
from fdistill.models.checkpoints import PICKLE, WEIGHTS, Checkpoint
from fdistill.models.families import FAMILIES, family_of
from fdistill.models.memory import Size, size_of
from fdistill.models.students import init_student
from fdistill.preflight import reach
from fdistill.runtime.errors import UserError

SAFETENSORS = {WEIGHTS, f"{WEIGHTS}.index.json"}
PICKLES = {PICKLE, f"{PICKLE}.index.json"}
VOCABULARIES = {"tokenizer.json", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "source.spm"}


@dataclass(frozen=True)
class Architecture:
    """The sizes of a task's teacher and student, and where the teacher comes from."""

    teacher: Size
    student: Size
    origin: str  # in words
    to_fetch: str | None = None  # hub id of a checkpoint that is not on this machine


def architecture(task: dict[str, Any]) -> Architecture:
    """Return the sizes of a task's models.

    Raises UserError when the checkpoint is not available, belongs to another family, has fewer layers than the student
    copies, or has fewer positions than the task's texts may need.
    """
    model = task["model"]
    init = model["teacher"]["init"]
    config, origin, to_fetch = configuration(model)
    family = family_of(config.model_type)
    if FAMILIES[model["family"]] != family:
        raise UserError(f"model.family is {model['family']}, but {init} is a {config.model_type}; change one of them")
    with torch.device("meta"):
        teacher = Checkpoint(wrap(model_class(family)(config)), SimpleNamespace())
        student = init_student(teacher, model["student"])
    text = task["text"]
    check_positions(teacher, Limits(**text))
    return Architecture(size_of(teacher.model.module, family), size_of(student.model.module, family), origin, to_fetch)


def configuration(model: dict[str, Any]) -> tuple[PreTrainedConfig, str, str | None]:
    """Return the teacher's configuration, where it comes from in words, and its hub id if it must be downloaded.

    `model` is a task's section. Raises UserError when the checkpoint is not available.
    """
    init = model["teacher"]["init"]
    if init == SCRATCH:
        return _scratch(model)
    return _checkpoint(init, SAFETENSORS | (PICKLES if model["teacher"]["allow_pickle"] else set()))


def _scratch(model: dict[str, Any]) -> tuple[PreTrainedConfig, str, str | None]:
    family, teacher = FAMILIES[model["family"]], model["teacher"]
    ids = {"vocab_size": teacher["vocab_size"], "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    start = {"decoder_start_token_id": 0} if family.is_encoder_decoder else {}
    config_class = getattr(transformers, family.config_class)
    return config_class(**(ids | start | teacher["config"])), "trained from scratch", None


def _checkpoint(init: str, weights: set[str]) -> tuple[PreTrainedConfig, str, str | None]:
    folder = Path(init).expanduser()
    if folder.is_dir():
        files = {file.name for file in folder.iterdir()}
        _check_files(init, files, weights)
        return AutoConfig.from_pretrained(folder, trust_remote_code=False), f"{init}, a folder on this machine", None
    if folder.is_absolute() or init.startswith((".", "~")):
        raise UserError(f"model.teacher.init: there is no folder {init}; set the folder that `save_pretrained` wrote")
    if any(reach.cached(init, "config.json", name) for name in weights):
        return (
            AutoConfig.from_pretrained(init, local_files_only=True, trust_remote_code=False),
            f"{init}, in this machine's cache",
            None,
        )
    try:
        files = reach.hub_model(init)
    except UserError as error:
        raise UserError(
            f"{error}, nor in this machine's cache; check the name and the network (HF_TOKEN for a private model), or "
            "set model.teacher.init to the folder of a copy"
        ) from None
    _check_files(init, files, weights)
    return AutoConfig.from_pretrained(init, trust_remote_code=False), "", init


def _check_files(init: str, files: set[str], weights: set[str]) -> None:
    """Raise UserError when `files` lack the configuration, the tokenizer, or all of the possible files of `weights`."""
    if "config.json" not in files:
        raise UserError(f"{init}: has no config.json; use a checkpoint that `save_pretrained` wrote")
    if not files & VOCABULARIES:
        raise UserError(f"{init}: has no tokenizer (none of {', '.join(sorted(VOCABULARIES))}); save it there as well")
    if not files & weights:
        pickle = f"; its {PICKLE} can run code when it is opened: if you trust it, set model.teacher.allow_pickle"
        raise UserError(
            f"{init}: has no {WEIGHTS}, the only format that is read"
            + (pickle if files & PICKLES else "; use a checkpoint that `save_pretrained` wrote")
        )
