"""LoRA adapters from elsewhere: compared with their base model, and merged into it.

peft is imported inside the functions, because its import takes seconds that other jobs save.
"""

import logging
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from fdistill.artifacts import journal
from fdistill.artifacts.files import note_input
from fdistill.models.adapter_files import MERGE, adapter_shapes, find, lora_config, on_the_hub, read_weights
from fdistill.models.checkpoint_files import COPY, read_object
from fdistill.models.families import Family
from fdistill.models.location import ADAPTER_CONFIG, adapter_inputs, local_path, short_name
from fdistill.models.lora import linear_maps
from fdistill.runtime.errors import UserError, reason
from fdistill.runtime.validation import show

log = logging.getLogger(__name__)


def check_adapter(
    name: str,
    base: str,
    outline: PreTrainedModel,
    family: Family,
    allow_pickle: bool = False,
    with_weights: bool = True,
) -> None:
    """Raise UserError for an adapter that `merge_adapter` would refuse, except for the numbers of its weights.

    `outline` is the base model without numbers, which is changed; `base` is its name. Without weights only the
    configuration is read, which has a few kilobytes.
    """
    config, weights = find(name, allow_pickle) if with_weights else (on_the_hub(name, ADAPTER_CONFIG), None)
    with torch.device("meta"):
        _inject(config, weights, base, outline, family)


def merge_adapter(name: str, base: str, module: PreTrainedModel, family: Family, allow_pickle: bool = False) -> None:
    """Add an adapter, a folder or hub id, to the weights of its base model, in place; `base` is the model's name.

    Raises UserError for an adapter that cannot be found or read, that is no LoRA or has more than that, that is of
    another model, and whose weights are infinite. Logs a warning when it names another base model, but fits: a
    copy of a model has any name.
    """
    from peft import set_peft_model_state_dict

    config, weights = find(name, allow_pickle)
    tuner = _inject(config, weights, base, module, family)
    set_peft_model_state_dict(module, read_weights(weights))
    rank, maps = tuner.peft_config["default"].r, len(tuner.targeted_module_names)
    tuner.merge_and_unload()
    log.info("%s: merged into %s: LoRA of rank %d, of %d maps", name, base, rank, maps)
    module.requires_grad_(True)
    if local_path(name) is None:
        journal.note_input(name, config.parent.name)  # the hub's revision: the folder of the cache's snapshot
    for file in adapter_inputs(name):
        note_input(file)


def _inject(file: Path, weights: Path | None, base: str, module: PreTrainedModel, family: Family) -> Any:
    """Put an adapter's layers, without its numbers, into a model; return peft's LoraModel.

    `file` is its adapter_config.json. Raises UserError unless the stored weights are those that the layers have.
    """
    from peft import LoraModel, get_peft_model_state_dict

    content = read_object(file)
    config = lora_config(file, content)
    maps = linear_maps(module, family)
    named = content.get("base_model_name_or_path")
    of_other = f"the adapter is one of {show(named)}: set model.teacher.init to that model" if named else COPY
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong is refused below
            tuner = LoraModel(module, config, "default")
    except (ValueError, TypeError, RuntimeError, LookupError, re.error) as error:
        raise UserError(f"{file}: does not fit the model {base} ({reason(error)[:300]}); {of_other}") from None
    if others := [path for path in tuner.targeted_module_names if path not in maps]:
        raise UserError(
            f"{file}: target_modules has more than linear maps of layers ({others[0]}), which is not read; {MERGE}"
        )
    if weights is not None:
        own = get_peft_model_state_dict(module, save_embedding_layers=False)
        if wrong := _misfit(adapter_shapes(weights), {key: list(weight.shape) for key, weight in own.items()}):
            raise UserError(f"{weights}: does not fit the model {base} ({wrong}); {of_other}")
    if named and Path(str(named)).name != Path(short_name(base)).name:
        log.warning("%s: the adapter is one of %s, and the model is %s; their shapes fit", file, named, base)
    return tuner


def _misfit(stored: dict[str, list[int]], expected: dict[str, list[int]]) -> str | None:
    """Return the first difference between the shapes of stored weights and those that a model has places for."""
    for key, shape in expected.items():
        if key not in stored:
            return f"the weight {key} is missing"
        if stored[key] != shape:
            return f"the weight {key} has the shape {stored[key]}, not {shape}"
    more = sorted(stored.keys() - expected.keys())  # embeddings that training resized, if their names say so
    return f"{len(more)} weights have no place in it, first: {more[0]}" if more else None
