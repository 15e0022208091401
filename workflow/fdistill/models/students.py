"""Student initialisation: weights copied from the teacher or from another model, and frozen parts."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import Parameter
from transformers import PreTrainedModel

from fdistill.models.architectures import model_class, wrap
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.configurations import layer_settings, of_layers
from fdistill.models.language_model import LanguageModel
from fdistill.models.student_layers import RANDOM, TEACHER, Layers, Start
from fdistill.runtime.errors import UserError

Weights = dict[str, torch.Tensor]


def init_student(
    teacher: Checkpoint,
    layers: dict[str, Any],
    others: Mapping[str, Checkpoint] | None = None,
    seed: int = 1,
) -> Checkpoint:
    """Return a student of the teacher's architecture with fewer layers.

    `layers` has, for each stack ("encoder", "decoder"), what `Start.read` reads: how many layers, which ones, from
    which model. `others` are the models besides the teacher that they are copied from. Random layers are initialised
    as the model class does it, with `seed`. All else, embeddings and final norms too, is the teacher's (Shleifer & Rush
    2020, section 6.1: only the layers come from different sources).

    Raises UserError for a stack that the family does not have or that is missing, for a layer that the teacher does not
    have, and for another model whose layers differ from the teacher's in family, shapes or settings.
    """
    module, family = teacher.model.module, teacher.model.family
    if set(layers) != set(family.stacks):
        raise UserError(
            f"model.student: give the layers of {' and '.join(family.stacks)} for this family; got {', '.join(layers)}"
        )
    models = {TEACHER: teacher, **(others or {})}
    starts = {name: Start.read(layers[name]) for name in family.stacks}
    copied: dict[str, Layers] = {}
    for name, stack in family.stacks.items():
        depth = getattr(module.config, stack.size_key)
        copied[name] = starts[name].copied(depth)
        if not copied[name] or not all(layer is RANDOM or 0 <= layer < depth for layer in copied[name]):
            raise UserError(
                f"model.student.{name}: {copied[name]} must be layers of the teacher, at least one; "
                f"it has 0..{depth - 1}"
            )
    # A random layer has the settings of the teacher's layer in its place.
    places = {name: [new if old is RANDOM else old for new, old in enumerate(copied[name])] for name in copied}
    config = of_layers(module.config, family, places)
    if any(RANDOM in numbers for numbers in copied.values()):
        torch.manual_seed(seed)
    student = model_class(family)(config)
    _untie(student, module)
    weights, fresh = module.state_dict(), student.state_dict()
    for name, stack in family.stacks.items():
        origin = models[starts[name].origin]
        if origin is not teacher:
            where = f"model.student.{name}.from: {starts[name].origin}"
            _check_same_layers(where, origin, teacher, name)
        source = origin.model.module.state_dict()
        weights = _copy_stack(weights, f"{stack.modules}.", copied[name], source, fresh)
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


def check_same_tokens(teacher: Checkpoint, other: Checkpoint, where: str) -> None:
    """Raise UserError, which begins with `where`, unless each token id means the same to another model.

    Layers of a model that reads other tokens mean nothing behind the teacher's embeddings.
    """
    vocabularies = [checkpoint.tokenizer.get_vocab() for checkpoint in (other, teacher)]
    if vocabularies[0] != vocabularies[1]:
        sizes = [len(vocabulary) for vocabulary in vocabularies]
        found = f"{sizes[0]} tokens, not {sizes[1]}" if sizes[0] != sizes[1] else f"{sizes[0]} tokens, but others"
        raise UserError(
            f"{where} has another vocabulary than the teacher ({found}); copy layers from a model with the same one"
        )


def _check_same_layers(where: str, origin: Checkpoint, teacher: Checkpoint, stack: str) -> None:
    """Raise UserError unless a model's layers of a stack have the shapes and settings of the teacher's.

    The student has the teacher's configuration, so that layers with other settings would compute something else in it.
    The embeddings are not copied and may differ in spare rows: BART's checkpoint has one more than those fine-tuned
    from it. `check_same_tokens` compares the vocabularies.
    """
    kinds = [checkpoint.model.module.config.model_type for checkpoint in (origin, teacher)]
    if kinds[0] != kinds[1]:
        raise UserError(f"{where} is a {kinds[0]} model, the teacher a {kinds[1]}; copy layers of the same family only")
    theirs, ours = (_architecture(checkpoint.model, stack) for checkpoint in (origin, teacher))
    for key in theirs | ours:
        found, expected = (architecture.get(key, "no such weight") for architecture in (theirs, ours))
        if found != expected:
            raise UserError(
                f"{where} has another architecture than the teacher ({key}: {found}, the teacher's: "
                f"{expected}); copy layers from a model of the teacher's architecture only"
            )


def _architecture(model: LanguageModel, stack: str) -> dict[str, Any]:
    """Return the shapes of the weights of a stack's layers, and the settings on which the layers' outputs depend."""
    prefix = f"{model.family.stacks[stack].modules}."
    weights = model.module.state_dict().items()
    shapes = {key: list(value.shape) for key, value in weights if key.startswith(prefix)}
    return shapes | layer_settings(model.module.config, model.family, stack)


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


def _copy_stack(weights: Weights, prefix: str, layers: Layers, source: Weights, fresh: Weights) -> Weights:
    """Return `weights` with one stack's layers replaced by layers of `source`, or of `fresh` where they are RANDOM."""
    copied = {key: value for key, value in weights.items() if not key.startswith(prefix)}
    for new, old in enumerate(layers):
        origin, layer = (fresh, new) if old is RANDOM else (source, old)
        begin = f"{prefix}{layer}."
        for key, value in origin.items():
            if key.startswith(begin):
                copied[f"{prefix}{new}.{key.removeprefix(begin)}"] = value.clone()
    # T5 stores the relative position bias of a whole stack in layer 0, whichever layer is copied there.
    bias = "0.layer.0.SelfAttention.relative_attention_bias.weight"
    if prefix + bias in source:
        copied[prefix + bias] = source[prefix + bias]
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
