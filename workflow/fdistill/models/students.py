"""Student initialisation: the teacher layers that are copied, those that supervise the student, and frozen parts."""

import math

import torch
from torch.nn import Parameter
from transformers import PreTrainedModel

from fdistill.models.architectures import model_class, wrap
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.language_model import LanguageModel
from fdistill.runtime.errors import UserError

# Teacher layers -> student layers -> copied layers: maximally spaced, first and last kept (Shleifer & Rush 2020,
# section 3; 24 layers, DialoGPT-medium: Wen et al. 2023). The published tables follow no formula: 12 -> 6 copies layer
# 7 where even spacing would copy 6 or 8.
LAYER_MAPS: dict[int, dict[int, list[int]]] = {
    6: {1: [0], 2: [0, 5], 3: [0, 2, 5], 4: [0, 1, 3, 5]},
    12: {
        1: [0],
        2: [0, 6],
        3: [0, 6, 11],
        4: [0, 4, 8, 11],
        6: [0, 2, 4, 7, 9, 11],
        9: [0, 1, 2, 4, 5, 7, 9, 10, 11],
    },
    16: {1: [0], 2: [0, 15], 3: [0, 8, 15], 4: [0, 5, 10, 15], 8: [0, 2, 4, 6, 8, 10, 12, 15]},
    24: {4: [0, 8, 16, 23], 6: [0, 5, 10, 15, 20, 23], 12: [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 23]},
}


# Teacher layers -> student layers -> supervising layers: the published ones (footnote 5 of Shleifer & Rush 2020) that
# are not the ends of equal blocks.
SUPERVISING_MAPS: dict[int, dict[int, list[int]]] = {
    6: {2: [3, 5], 3: [1, 4, 5]},
    12: {6: [1, 3, 5, 8, 10, 11]},
    16: {4: [4, 9, 12, 15]},
}


def copied_layers(student_layers: int, teacher_layers: int) -> list[int]:
    """Return the teacher layers that a student of this depth copies.

    These are the published ones of `LAYER_MAPS`, else evenly spaced layers with both ends; a single layer is layer 0.
    Raises UserError for a student without layers or with more layers than the teacher.
    """
    if not 1 <= student_layers <= teacher_layers:
        raise UserError(
            f"model.student: a student of {student_layers} layers cannot be copied from a teacher of {teacher_layers}; "
            f"give 1 to {teacher_layers}"
        )
    if student_layers == teacher_layers:
        return list(range(teacher_layers))
    table = LAYER_MAPS.get(teacher_layers, {})
    if student_layers in table:
        return list(table[student_layers])
    if student_layers == 1:
        return [0]
    return [round(i * (teacher_layers - 1) / (student_layers - 1)) for i in range(student_layers)]


def supervising_layers(student_layers: int, teacher_layers: int) -> list[int]:
    """Return φ: student layer i learns from teacher layer φ(i), the last one of the block that it stands for.

    A student of 3 layers and a teacher of 12 give [3, 7, 11] (Shleifer & Rush 2020, section 3). `SUPERVISING_MAPS` has
    their exceptions.
    """
    table = SUPERVISING_MAPS.get(teacher_layers, {})
    if student_layers in table:
        return list(table[student_layers])
    return [math.ceil((i + 1) * teacher_layers / student_layers) - 1 for i in range(student_layers)]


def init_student(teacher: Checkpoint, layers: dict[str, int | list[int]]) -> Checkpoint:
    """Return a student of the teacher's architecture with fewer layers, all weights copied from the teacher.

    `layers` has, for each stack ("encoder", "decoder"), the number of layers (see `copied_layers`) or the list of
    teacher layers to copy. Raises UserError for a stack that the family does not have or that is missing, and for a
    layer that the teacher does not have.
    """
    module, family = teacher.model.module, teacher.model.family
    if set(layers) != set(family.stacks):
        raise UserError(
            f"model.student: give the layers of {' and '.join(family.stacks)} for this family; got {', '.join(layers)}"
        )
    config = type(module.config).from_dict(module.config.to_dict())
    weights = module.state_dict()
    for name, stack in family.stacks.items():
        depth, choice = getattr(module.config, stack.size_key), layers[name]
        copied = copied_layers(choice, depth) if isinstance(choice, int) else choice
        if not copied or not all(0 <= layer < depth for layer in copied):
            raise UserError(
                f"model.student.{name}: {copied} must be layers of the teacher, at least one; it has 0..{depth - 1}"
            )
        setattr(config, stack.size_key, len(copied))
        weights = _copy_stack(weights, f"{stack.modules}.", copied)
    student = model_class(family)(config)
    _untie(student, module)
    student.load_state_dict(weights, strict=True)
    return Checkpoint(wrap(student, teacher.model.decoder_prompt or None), teacher.tokenizer)


def check_same_heads(student: LanguageModel, teacher: LanguageModel) -> None:
    """Raise UserError unless the stacks of both models have as many attention heads, which can then be paired."""
    own, theirs = student.heads(), teacher.heads()
    for stack in own:
        if own[stack] != theirs.get(stack):
            raise UserError(
                f"loss attention_mse: the student's {stack} has {own[stack]} attention heads and the teacher's "
                f"{theirs.get(stack, 'none')}, so that they cannot be compared; remove the term, or start from a "
                "student of this teacher (rule init_student)"
            )


def _untie(student: PreTrainedModel, teacher: PreTrainedModel) -> None:
    """Untie those weights of the student that the teacher does not tie.

    The output layer of T5 1.1 is not tied to its embeddings. No configuration key says so: transformers notices when it
    loads weights that differ. A student built from the configuration alone would use one tensor for both.
    """
    for name, source in list(student.all_tied_weights_keys.items()):
        if teacher.get_parameter(name) is not teacher.get_parameter(source):
            parent, _, key = name.rpartition(".")
            setattr(student.get_submodule(parent), key, Parameter(torch.empty_like(teacher.get_parameter(name))))
            del student.all_tied_weights_keys[name]


def _copy_stack(weights: dict[str, torch.Tensor], prefix: str, layers: list[int]) -> dict[str, torch.Tensor]:
    """Rename the copied layers of one stack to 0, 1, ... and drop the others."""
    copied = {key: value for key, value in weights.items() if not key.startswith(prefix)}
    for key, value in weights.items():
        if key.startswith(prefix):
            layer, rest = key.removeprefix(prefix).split(".", 1)
            for new in (i for i, old in enumerate(layers) if old == int(layer)):
                copied[f"{prefix}{new}.{rest}"] = value.clone()
    # T5 stores the relative position bias of a whole stack in layer 0, whichever layer is copied there.
    bias = "0.layer.0.SelfAttention.relative_attention_bias.weight"
    if prefix + bias in weights:
        copied[prefix + bias] = weights[prefix + bias]
    return {key: value for key, value in copied.items() if not _stray_bias(key, prefix, bias)}


def _stray_bias(key: str, prefix: str, bias: str) -> bool:
    """Return whether a weight is the stack's position bias, copied with layer 0 to a later layer."""
    return key.startswith(prefix) and key.endswith(bias.split(".", 1)[1]) and key != prefix + bias


def freeze(model: LanguageModel, parts: list[str]) -> None:
    """Exclude parts from training: `embeddings` or a stack (`encoder`, `decoder`); UserError for an unknown part."""
    for part in parts:
        if part == "embeddings":
            modules = model.family.embeddings
        elif part in model.family.stacks:
            modules = (model.family.stacks[part].module,)
        else:
            allowed = ", ".join(["embeddings", *model.family.stacks])
            raise UserError(f"training.freeze: this family has no part '{part}'; allowed: {allowed}")
        for name in modules:
            model.module.get_submodule(name).requires_grad_(False)
