"""LoRA adapters from elsewhere, as peft saves them: checked against their base model, and merged into it.

peft is imported inside the functions, because its import takes seconds that other jobs save.
"""

import logging
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import cached_file

from fdistill.artifacts import journal
from fdistill.artifacts.files import note_input
from fdistill.artifacts.shapes import AtLeast, mistake
from fdistill.models.checkpoint_files import COPY, pickle_shapes, read_object, safetensors_shapes
from fdistill.models.families import Family
from fdistill.models.location import (
    ADAPTER_CONFIG,
    ADAPTER_PICKLE,
    ADAPTER_WEIGHTS,
    adapter_files,
    local_folder,
    short_name,
)
from fdistill.models.lora import linear_maps
from fdistill.runtime.errors import UserError, reason
from fdistill.runtime.validation import show

log = logging.getLogger(__name__)

MERGE = "merge it into its model with peft (merge_and_unload), save that with its tokenizer, and set init to its folder"
LARGEST_RANK = 10**5
# What is read of adapter_config.json, as `artifacts.shapes` describes it: what the merged weights depend on.
_USED = {
    "r": AtLeast(int, 1),
    "lora_alpha": float,
    "target_modules?": (str, [str], None),
    "exclude_modules?": (str, [str], None),
    "layers_to_transform?": (AtLeast(int), [AtLeast(int)], None),
    "layers_pattern?": (str, [str], None),
    "rank_pattern?": ({...: AtLeast(int, 1)}, None),
    "alpha_pattern?": ({...: float}, None),
    "fan_in_fan_out?": bool,
    "use_rslora?": bool,
    "use_dora?": bool,
}
# Keys on which the merged weights do not depend, and values that mean "not used".
_IGNORED = {
    *("peft_type", "peft_version", "task_type", "auto_mapping", "base_model_name_or_path", "revision"),
    *("inference_mode", "lora_dropout", "runtime_config", "megatron_core", "qalora_group_size"),
    *("eva_config", "init_lora_weights"),  # how training began; those beginnings that change the base are refused
}
_UNUSED = (None, False, "none", [], {})
_CHANGES_BASE = re.compile("pissa|olora|loftq|corda|lora_ga", re.IGNORECASE)
_PREFIX = "base_model.model."  # of the names of weights


def check_adapter(name: str, base: str, outline: PreTrainedModel, family: Family, allow_pickle: bool = False) -> None:
    """Raise UserError for an adapter that `merge_adapter` would refuse.

    `outline` is the base model without numbers, which is changed; `base` is its name. Of a hub id the weights' shapes
    are compared only if they are on this machine already.
    """
    config, weights = _files(name, allow_pickle, download=False)
    with torch.device("meta"):
        _inject(config, weights, base, outline, family)


def merge_adapter(name: str, base: str, module: PreTrainedModel, family: Family, allow_pickle: bool = False) -> None:
    """Add an adapter, a folder or hub id, to the weights of its base model, in place; `base` is the model's name.

    Raises UserError for an adapter that cannot be found or read, that is no LoRA or has more than that, that is of
    another model, and whose weights are infinite. Logs a warning when it only names another base model.
    """
    from peft import set_peft_model_state_dict

    config, weights = _files(name, allow_pickle)
    tuner = _inject(config, weights, base, module, family)
    stored = _read_weights(weights)
    for key, weight in stored.items():
        if not weight.isfinite().all():
            raise UserError(f"{weights}: the weight {key} contains infinite numbers or NaN; {COPY}")
    set_peft_model_state_dict(module, {key.removeprefix(_PREFIX): weight for key, weight in stored.items()})
    tuner.merge_and_unload()
    module.requires_grad_(True)
    _note_input(name, config)


def _files(name: str, allow_pickle: bool, download: bool = True) -> tuple[Path, Path | None]:
    """Return the adapter's configuration and weights; of a hub id, without `download`, no weights if not in the cache.

    Raises UserError when one is missing, or may not be read.
    """
    folder = local_folder(name)
    if folder is not None:
        if not folder.is_dir():
            raise UserError(f"{name}: there is no such folder; give that of a LoRA adapter, or a hub id")
        find: Callable[[str], Path | None] = lambda file: folder / file if (folder / file).is_file() else None  # noqa: E731
    else:
        find = lambda file: _on_the_hub(name, file, local_only=not download and file != ADAPTER_CONFIG)  # noqa: E731
    config, weights = find(ADAPTER_CONFIG), find(ADAPTER_WEIGHTS)
    if config is None:
        raise UserError(f"{name}: has no {ADAPTER_CONFIG}; give a LoRA adapter that peft saved")
    if weights is None and (pickle := find(ADAPTER_PICKLE)) is not None:
        if not allow_pickle:
            raise UserError(
                f"{name}: has no {ADAPTER_WEIGHTS}, and {ADAPTER_PICKLE} can run code when it is opened; if you trust "
                "it, set allow_pickle: true beside adapter (--allow-pickle)"
            )
        weights = pickle
    if weights is None and (download or folder is not None):
        raise UserError(f"{name}: has no {ADAPTER_WEIGHTS}; give a LoRA adapter that peft saved")
    return config, weights


def _on_the_hub(name: str, file: str, local_only: bool) -> Path | None:
    """Return the place of an adapter's file in this machine's cache, after its download; None if there is none."""
    try:
        found = cached_file(name, file, local_files_only=local_only, _raise_exceptions_for_missing_entries=False)
    except OSError as error:
        if local_only:
            return None
        raise UserError(
            f"{name}: is no adapter that this machine can reach ({reason(error)}); check the name"
        ) from None
    return None if found is None else Path(found)


def _inject(file: Path, weights: Path | None, base: str, module: PreTrainedModel, family: Family) -> Any:
    """Put an adapter's layers, without its numbers, into a model; return peft's LoraModel.

    Raises UserError unless the stored weights are those that the layers have.
    """
    from peft import LoraModel, get_peft_model_state_dict

    content = read_object(file)
    config = _lora_config(file, content)
    maps = linear_maps(module, family)
    named = content.get("base_model_name_or_path")
    of_other = f"; the adapter is one of {show(named)}: set model.teacher.init to that model" if named else ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong is refused below
            tuner = LoraModel(module, config, "default")
    except (ValueError, TypeError, RuntimeError, LookupError, re.error) as error:
        raise UserError(f"{file}: does not fit the model {base} ({reason(error)[:300]}){of_other}") from None
    if others := [path for path in tuner.targeted_module_names if path not in maps]:
        raise UserError(
            f"{file}: target_modules has more than linear maps of layers ({others[0]}), which is not read; {MERGE}"
        )
    if weights is not None:
        own = get_peft_model_state_dict(module, save_embedding_layers=False)
        _check_shapes(
            weights, _stored_shapes(weights), {key: weight.shape for key, weight in own.items()}, base, of_other
        )
    if named and short_name(str(named)) != short_name(base):
        log.warning("%s: the adapter is one of %s, and the model is %s; their shapes fit", file, named, base)
    return tuner


def _lora_config(file: Path, content: dict[str, Any]) -> Any:
    """Return peft's LoraConfig of what is used of adapter_config.json. Raises UserError for what cannot be merged."""
    from peft import LoraConfig

    if content.get("peft_type") != "LORA":
        raise UserError(
            f"{file}: peft_type: {show(content.get('peft_type'))} is not read, only LORA, which can be merged into its "
            "model; give another adapter, or a model as init"
        )
    used = {key.removesuffix("?") for key in _USED}
    for key, value in content.items():
        if key not in used | _IGNORED and value not in _UNUSED:
            raise UserError(f"{file}: {key}: {show(value)} is not read; {MERGE}")
    if _CHANGES_BASE.search(start := str(content.get("init_lora_weights"))):
        raise UserError(f"{file}: init_lora_weights: {show(start)} means another base model than is named; {MERGE}")
    if wrong := mistake(content, _USED):
        raise UserError(f"{file}: {wrong}; {COPY}")
    if (rank := max(content["r"], *(content.get("rank_pattern") or {}).values(), 0)) > LARGEST_RANK:
        raise UserError(f"{file}: a rank of {rank} is not allowed; must be at most {LARGEST_RANK}; {COPY}")
    return LoraConfig(**{key: content[key] for key in used if content.get(key) is not None})


def _stored_shapes(weights: Path) -> dict[str, torch.Size]:
    shapes = (safetensors_shapes if weights.suffix == ".safetensors" else pickle_shapes)(weights)
    return {key.removeprefix(_PREFIX): weight.shape for key, weight in shapes.items()}


def _check_shapes(
    weights: Path, stored: dict[str, torch.Size], expected: dict[str, torch.Size], base: str, of_other: str
) -> None:
    for key, shape in expected.items():
        if stored.get(key) != shape:
            found = "is missing" if key not in stored else f"has the shape {list(stored[key])}"
            raise UserError(
                f"{weights}: the weight {key} {found}, and the model {base} needs {list(shape)}"
                f"{of_other or f'; {COPY}'}"
            )
    if more := sorted(stored.keys() - expected.keys()):
        raise UserError(
            f"{weights}: {len(more)} weights have no place in the model {base} (first: {more[0]})"
            f"{of_other}; if they are embeddings that training resized, {MERGE}"
        )


def _read_weights(weights: Path) -> dict[str, Tensor]:
    if weights.suffix == ".safetensors":
        return load_file(weights)
    return torch.load(weights, map_location="cpu", weights_only=True)


def _note_input(name: str, config: Path) -> None:
    """Note the adapter's files as inputs, or its hub id with the revision, the folder of the cache's snapshot."""
    if local_folder(name) is None:
        journal.note_input(name, config.parent.name)
    for file in adapter_files(name):
        note_input(file)
