"""LoRA (Hu et al. 2021): a model is trained by low-rank changes of its linear maps, and then has them in its weights.

peft is imported inside the functions, because its import takes seconds that other jobs save.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from fdistill.models.families import Family
from fdistill.models.language_model import LanguageModel
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import show

LORA = "training.teacher.lora"  # the key of the settings


def linear_maps(module: PreTrainedModel, family: Family) -> list[str]:
    """Return the dotted paths of the linear maps in a model's layers: neither embeddings nor the output layer."""
    layers = tuple(f"{stack.modules}." for stack in family.stacks.values())
    parts = module.named_modules()
    return [path for path, part in parts if isinstance(part, nn.Linear | Conv1D) and path.startswith(layers)]


def chosen_maps(model: LanguageModel, names: Sequence[str] | None) -> list[str]:
    """Return the paths of `linear_maps` that end with one of `names`, such as `q_proj`; all of them for None.

    Raises UserError for a name that no path ends with.
    """
    paths = linear_maps(model.module, model.family)
    if names is None:
        return paths
    for name in names:
        if not any(_ends_with(path, name) for path in paths):
            known = ", ".join(dict.fromkeys(path.rpartition(".")[2] for path in paths))
            raise UserError(
                f"{LORA}.target_modules: {show(name)} is no linear map of the layers of this "
                f"{model.module.config.model_type} model; its maps: {known}"
            )
    return [path for path in paths if any(_ends_with(path, name) for name in names)]


def _ends_with(path: str, name: str) -> bool:
    return f".{path}".endswith(f".{name}")


def add_lora(model: LanguageModel, settings: dict[str, Any], seed: int) -> Any:
    """Put trainable low-rank changes beside a model's linear maps, in place, and freeze all that it had.

    `settings` is a section `training.teacher.lora`. The changes are zero at first; `seed` determines their random half.
    Returns peft's LoraModel, whose `merge_and_unload` adds the changes to the weights. Raises UserError as
    `chosen_maps` does.
    """
    from peft import LoraConfig, LoraModel

    paths = chosen_maps(model, settings["target_modules"])
    config = LoraConfig(
        r=settings["rank"],
        lora_alpha=settings["rank"] if settings["alpha"] is None else settings["alpha"],
        lora_dropout=settings["dropout"],
        target_modules=paths,
        fan_in_fan_out=isinstance(model.module.get_submodule(paths[0]), Conv1D),  # as a family's maps are, all alike
    )
    torch.manual_seed(seed)
    return LoraModel(model.module, config, "default")
