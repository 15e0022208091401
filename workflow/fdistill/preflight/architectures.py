"""The sizes of a task's models, built on torch's meta device from a configuration of a few kilobytes."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from types import SimpleNamespace
from typing import Any

import torch
from transformers import PreTrainedConfig

from fdistill.config.model_checks import SCRATCH, first_model
from fdistill.data.encoding import Limits, check_positions
from fdistill.losses.sequences import OTHER_TEACHER_BEAM, STORED_SEQUENCES
from fdistill.models.architectures import wrap
from fdistill.models.checkpoint_files import TOKENIZERS, check_names
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.configurations import read_configuration, scratch_configuration, window, without_numbers
from fdistill.models.families import FAMILIES
from fdistill.models.location import CONFIG, local_folder
from fdistill.models.memory import Size, size_of
from fdistill.models.outlines import describe, reading
from fdistill.models.student_layers import PRETRAINED, origins
from fdistill.models.students import init_student
from fdistill.models.tokenization import set_languages
from fdistill.preflight import hub, reach
from fdistill.runtime.errors import UserError
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS, beyond_window

PRETRAINED_KEY = "model.teacher.pretrained"
Layers = dict[str, Any]  # per stack, as in `model.student`

# Tasks are looked at in parallel, but transformers changes its own global state while it makes a model.
_MAKING = Lock()


@dataclass(frozen=True)
class Architecture:
    """The sizes of a task's teacher and students, and where its first model comes from.

    That is the teacher; a teacher from outside has no size, and the first model is the student.
    """

    teacher: Size | None
    students: dict[str | None, Size]  # by the name of their size; None is the default size
    origin: str  # in words
    to_fetch: hub.Download | None = None  # for a checkpoint that is not on this machine
    pretrained_to_fetch: hub.Download | None = None  # likewise for model.teacher.pretrained


@dataclass(frozen=True)
class OtherTeacher:
    """The size of a task's other teacher, where it comes from in words, and what must be downloaded of it."""

    size: Size
    origin: str
    to_fetch: hub.Download | None


def architecture(
    task: dict[str, Any], students: dict[str | None, Layers], tasks: dict[str, dict[str, Any]]
) -> Architecture:
    """Return the sizes of a task's models; `students` has the layers per stack of each size of the student.

    `tasks` are the study's, from whose teachers a student may copy layers.

    Raises UserError when the checkpoint is not available or would be refused when it is loaded, belongs to another
    family, has fewer layers than a student copies, differs from another model from which a student copies layers, or
    has fewer positions than the task's texts may need.
    """
    model, (owner, start) = task["model"], first_model(task)
    init = start["init"]
    config, origin, to_fetch = configuration(model, owner)
    family = FAMILIES[config.model_type]
    if FAMILIES[model["family"]] != family:
        raise UserError(f"model.family is {model['family']}, but {init} is a {config.model_type}; change one of them")
    where = f"model.{owner}.config" if init == SCRATCH else f"{init}/{CONFIG}"
    if owner == "student":
        with _MAKING, torch.device("meta"):
            student = _outline(config, where)
        check_positions(student, Limits(**task["text"]))
        _check_window(config, task)
        return Architecture(None, {None: size_of(student.model.module, family)}, origin, to_fetch)
    named = dict.fromkeys(origin for layers in students.values() for origin in origins(layers))
    configs = {name: configuration(tasks[name]["model"])[0] for name in named if name != PRETRAINED}
    pretrained_to_fetch = None
    if PRETRAINED in named and (name := model["teacher"]["pretrained"]):
        configs[PRETRAINED], _, pretrained_to_fetch = _of_checkpoint(model["teacher"] | {"init": name}, PRETRAINED_KEY)
    with _MAKING, torch.device("meta"):
        teacher = _outline(config, where)
        others = {name: _outline(other, f"model.student: the teacher of '{name}'") for name, other in configs.items()}
        others.setdefault(PRETRAINED, teacher)
        sizes = {name: size_of(_student(teacher, name, layers, others), family) for name, layers in students.items()}
    check_positions(teacher, Limits(**task["text"]))
    _check_window(config, task)
    return Architecture(size_of(teacher.model.module, family), sizes, origin, to_fetch, pretrained_to_fetch)


def _check_window(config: PreTrainedConfig, task: dict[str, Any]) -> None:
    """Raise UserError if CTranslate2 may meet texts that are longer than a sliding window of the models."""
    text = task["text"]
    for name in (*STORED_SEQUENCES, "decoding", "risk"):
        if task[name]["engine"] == CTRANSLATE2 and name != OTHER_TEACHER_BEAM:
            target = task[name]["max_new_tokens"] if name == "decoding" else text["max_target_tokens"]
            if reason := beyond_window(window(config), text["max_source_tokens"] + target):
                raise UserError(f"{name}.engine: {reason}; use engine {TRANSFORMERS}, or lower text.max_source_tokens")


def other_teacher(other: dict[str, Any], text: dict[str, Any]) -> OtherTeacher:
    """Return what is known of a task's other teacher.

    `text` is the section with its own limits. Raises UserError as `architecture` does for a teacher's checkpoint.
    """
    config, origin, to_fetch = _of_checkpoint(other, "other_teacher.init")
    with _MAKING, torch.device("meta"):
        checkpoint = _outline(config, f"{other['init']}/{CONFIG}")
    check_positions(checkpoint, Limits(**text))
    return OtherTeacher(size_of(checkpoint.model.module, checkpoint.model.family), origin, to_fetch)


def _outline(config: PreTrainedConfig, where: str) -> Checkpoint:
    """Return a model without numbers; errors begin with `where`."""
    return Checkpoint(wrap(without_numbers(config, FAMILIES[config.model_type], where)), SimpleNamespace())


def _student(teacher: Checkpoint, size: str | None, layers: Layers, others: dict[str, Checkpoint]) -> Any:
    """Return the module of a student; the error of a further size names it."""
    try:
        return init_student(teacher, layers, others).model.module
    except UserError as error:
        raise UserError(str(error) if size is None else f"size '{size}' in model.student_sizes: {error}") from None


def configuration(model: dict[str, Any], owner: str = "teacher") -> tuple[PreTrainedConfig, str, hub.Download | None]:
    """Return a model's configuration, where it comes from in words, and what must be downloaded of it.

    `model` is a task's section, and `owner` says whose settings there: the teacher's or, if the teacher is from
    outside, the student's. Raises UserError when the checkpoint is not available.
    """
    start = model[owner]
    if start["init"] != SCRATCH:
        return _of_checkpoint(start, f"model.{owner}.init")
    family = FAMILIES[model["family"]]
    tokens = {"vocab_size": start["vocab_size"], "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    first = {"decoder_start_token_id": 0} if family.is_encoder_decoder else {}
    config = scratch_configuration(family, start["config"], tokens | first, f"model.{owner}.config")
    return config, "trained from scratch", None


def _of_checkpoint(start: dict[str, Any], key: str) -> tuple[PreTrainedConfig, str, hub.Download | None]:
    """Return what `configuration` does, of a checkpoint; `key` names it in messages."""
    init, allow_pickle = start["init"], start.get("allow_pickle", False)
    if local_folder(init) is None:
        return _on_the_hub(init, allow_pickle, key)
    try:
        with _MAKING:
            outline = describe(init, allow_pickle)
        set_languages(outline.tokenizer, init, start.get("source_language"), start.get("target_language"))
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
    return outline.config, f"{init}, a folder on this machine", None


def _on_the_hub(init: str, allow_pickle: bool, key: str) -> tuple[PreTrainedConfig, str, hub.Download | None]:
    if hub.is_cached(init, allow_pickle, TOKENIZERS):
        with reading(init):
            return read_configuration(init, local_only=True)[0], f"{init}, in this machine's cache", None
    files = _asked(lambda: reach.hub_model(init), key)
    check_names(init, set(files), allow_pickle)
    to_fetch = _asked(lambda: hub.download(init, files), key)
    with reading(init):
        return read_configuration(init)[0], "", to_fetch


def _asked(ask: Callable[[], Any], key: str) -> Any:
    """The hub's answer, or a UserError that says what else would do."""
    try:
        return ask()
    except UserError as error:
        raise UserError(
            f"{error}, nor in this machine's cache; check the name and the network (HF_TOKEN for a private model), or "
            f"set {key} to the folder of a copy"
        ) from None
