"""The sizes of a task's models, built on torch's meta device from a configuration of a few kilobytes."""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

import torch
from transformers import PreTrainedConfig

from fdistill.config.model_checks import SCRATCH, is_whole, outputs_of, shares_tokenizer, student_family
from fdistill.data.encoding import check_positions
from fdistill.data.limits import Limits
from fdistill.data.packaged_models import packaged_model
from fdistill.losses.sequences import OTHER_TEACHER_BEAM, STORED_SEQUENCES
from fdistill.models.architectures import wrap
from fdistill.models.checkpoint_files import TOKENIZERS, check_names
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.configurations import read_configuration, scratch_configuration, window, without_numbers
from fdistill.models.families import FAMILIES, check_family
from fdistill.models.location import CONFIG, is_gguf, local_path
from fdistill.models.lora import chosen_maps
from fdistill.models.memory import Size, size_of
from fdistill.models.outlines import describe, reading
from fdistill.models.student_layers import PRETRAINED, origins
from fdistill.models.students import init_student
from fdistill.models.tokenization import set_languages
from fdistill.preflight import adapters, hub, reach
from fdistill.runtime.errors import UserError
from fdistill.sampling.engine_limits import CTRANSLATE2, TRANSFORMERS, beyond_window

PRETRAINED_KEY = "model.teacher.pretrained"
Layers = dict[str, Any]  # per stack, as in `model.student`

# Tasks are looked at in parallel, but transformers changes its own global state while it makes a model.
_MAKING = Lock()


@dataclass(frozen=True)
class Architecture:
    """The sizes of a task's teacher and students, and where the models come from that are not made of others.

    A teacher from outside has no size. A student that copies no layers comes from elsewhere too.
    """

    teacher: Size | None
    students: dict[str | None, Size]  # by the name of their size; None is the default size
    origin: str  # in words: of the teacher, or of the student of a teacher from outside
    to_fetch: hub.Download | None = None  # for a checkpoint that is not on this machine
    others_to_fetch: tuple[hub.Download, ...] = ()  # likewise for the keys `pretrained`, `adapter` and a whole student


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
    model = task["model"]
    if outputs_of(task) is not None:
        student, origin, to_fetch = _made_by_itself(task, "student")
        return Architecture(None, {None: _size(student)}, origin, to_fetch)
    teacher, origin, to_fetch = _made_by_itself(task, "teacher")
    if is_whole(model["student"]):
        vocabulary = teacher.model.vocabulary if shares_tokenizer(task) else None
        student, _, other_to_fetch = _made_by_itself(task, "student", vocabulary)
        sizes = {None: _size(student)}
    else:
        sizes, other_to_fetch = _copies(teacher, model, students, tasks)
    if (lora := task["training"]["teacher"]["lora"]) is not None:
        chosen_maps(teacher.model, lora["target_modules"])
    size = _size(teacher)  # before an adapter changes the outline
    adapter_to_fetch = None
    if model["teacher"]["adapter"]:
        adapter_to_fetch = adapters.to_fetch(model["teacher"])
        with _MAKING:
            adapters.check(model["teacher"], teacher, with_weights=adapter_to_fetch is None)
    others_to_fetch = tuple(each for each in (other_to_fetch, adapter_to_fetch) if each is not None)
    return Architecture(size, sizes, origin, to_fetch, others_to_fetch)


def _copies(
    teacher: Checkpoint, model: dict[str, Any], students: dict[str | None, Layers], tasks: dict[str, dict[str, Any]]
) -> tuple[dict[str | None, Size], hub.Download | None]:
    """Return the sizes of students that copy layers, and what must be downloaded of `model.teacher.pretrained`."""
    named = dict.fromkeys(origin for layers in students.values() for origin in origins(layers))
    configs = {name: configuration(tasks[name]["model"])[0] for name in named if name != PRETRAINED}
    to_fetch: hub.Download | None = None
    if PRETRAINED in named and (name := model["teacher"]["pretrained"]):
        configs[PRETRAINED], _, to_fetch = _of_checkpoint(model["teacher"] | {"init": name}, PRETRAINED_KEY)
    with _MAKING, torch.device("meta"):
        others = {name: _outline(other, f"model.student: the teacher of '{name}'") for name, other in configs.items()}
        others.setdefault(PRETRAINED, teacher)
        sizes = {name: _size(_student(teacher, name, layers, others)) for name, layers in students.items()}
    return sizes, to_fetch


def _made_by_itself(
    task: dict[str, Any], owner: str, vocabulary: int | None = None
) -> tuple[Checkpoint, str, hub.Download | None]:
    """Return the outline of a teacher or a whole student, and what `configuration` says of where it comes from."""
    model = task["model"]
    init, family = model[owner]["init"], model["family"] if owner == "teacher" else student_family(task)
    config, origin, to_fetch = configuration(model | {"family": family}, owner, vocabulary)
    of_student = owner == "student" and outputs_of(task) is None
    check_family(init, config.model_type, family, "model.student.family" if of_student else "model.family")
    with _MAKING, torch.device("meta"):
        outline = _outline(config, f"model.{owner}.config" if init == SCRATCH else f"{init}/{CONFIG}")
    check_positions(outline, Limits(**task["text"]))
    _check_window(config, task)
    return outline, origin, to_fetch


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
    return OtherTeacher(_size(checkpoint), origin, to_fetch)


def _outline(config: PreTrainedConfig, where: str) -> Checkpoint:
    """Return a model without numbers; errors begin with `where`."""
    return Checkpoint(wrap(without_numbers(config, FAMILIES[config.model_type], where)), SimpleNamespace())


def _size(outline: Checkpoint) -> Size:
    return size_of(outline.model.module, outline.family)


def _student(teacher: Checkpoint, size: str | None, layers: Layers, others: dict[str, Checkpoint]) -> Checkpoint:
    """Return the outline of a student; the error of a further size names it."""
    try:
        return init_student(teacher, layers, others)
    except UserError as error:
        raise UserError(str(error) if size is None else f"size '{size}' in model.student_sizes: {error}") from None


def configuration(
    model: dict[str, Any], owner: str = "teacher", vocabulary: int | None = None
) -> tuple[PreTrainedConfig, str, hub.Download | None]:
    """Return a model's configuration, where it comes from in words, and what must be downloaded of it.

    `model` is a task's section, and `owner` says whose settings there: the teacher's or a whole student's. A model from
    scratch has the given `vocabulary`, by default that of its settings. Raises UserError when the checkpoint is not
    available.
    """
    start = model[owner]
    if start["init"] != SCRATCH:
        return _of_checkpoint(start, f"model.{owner}.init")
    family = FAMILIES[model["family"]]
    tokens = {"vocab_size": vocabulary or start["vocab_size"], "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    first = {"decoder_start_token_id": 0} if family.is_encoder_decoder else {}
    config = scratch_configuration(family, start["config"], tokens | first, f"model.{owner}.config")
    return config, "trained from scratch", None


def _of_checkpoint(start: dict[str, Any], key: str) -> tuple[PreTrainedConfig, str, hub.Download | None]:
    """Return what `configuration` does, of a checkpoint; `key` names it in messages."""
    init, allow_pickle = start["init"], start.get("allow_pickle", False)
    if (package := packaged_model(init)) is not None:
        archive = package.archive
        tokens = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
        config = scratch_configuration(FAMILIES[package.family], package.config, tokens, key)
        return config, f"{Path(package.member).name}, in the package {archive.package} {archive.version}", None
    if local_path(init) is None:
        return _on_the_hub(init, allow_pickle, key)
    try:
        with _MAKING:
            outline = describe(init, allow_pickle)
        set_languages(outline.tokenizer, init, start.get("source_language"), start.get("target_language"))
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
    kind = "file" if is_gguf(Path(init)) else "folder"
    return outline.config, f"{init}, a {kind} on this machine", None


def _on_the_hub(init: str, allow_pickle: bool, key: str) -> tuple[PreTrainedConfig, str, hub.Download | None]:
    if hub.is_cached(init, allow_pickle, TOKENIZERS):
        with reading(init):
            return read_configuration(init, local_only=True)[0], f"{init}, in this machine's cache", None
    files = hub.asked(lambda: reach.hub_model(init), key)
    check_names(init, set(files), allow_pickle)
    to_fetch = hub.asked(lambda: hub.download(init, files), key)
    with reading(init):
        return read_configuration(init)[0], "", to_fetch
