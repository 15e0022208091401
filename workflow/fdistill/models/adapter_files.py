"""The files of a LoRA adapter, as peft saves them: found, looked at, and refused where they are more than LoRA.

peft is imported inside the functions, because its import takes seconds that other jobs save.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers.utils import cached_file

from fdistill.artifacts.shapes import AtLeast, mistake
from fdistill.models.checkpoint_files import COPY, pickle_shapes, safetensors_shapes
from fdistill.models.location import ADAPTER_CONFIG, ADAPTER_PICKLE, ADAPTER_WEIGHTS, local_path
from fdistill.runtime.errors import UserError, reason
from fdistill.runtime.validation import show

MERGE = "merge it into its model with peft (merge_and_unload), save that with its tokenizer, and set init to its folder"
LARGEST_RANK = 10**5
# What the merged weights depend on of adapter_config.json, as `artifacts.shapes` describes it.
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
# Keys on which the merged weights do not depend. Any other key must have a value that means "not used", so that what a
# later version of peft adds is not overlooked.
_IGNORED = {
    *("peft_type", "peft_version", "task_type", "auto_mapping", "base_model_name_or_path", "revision"),
    *("inference_mode", "lora_dropout", "runtime_config", "megatron_core", "qalora_group_size"),
    *("eva_config", "init_lora_weights"),  # how training began; the beginnings that change the base are refused
}
_UNUSED = (None, False, "none", [], {})
_CHANGES_BASE = re.compile("pissa|olora|loftq|corda|lora_ga", re.IGNORECASE)
_PREFIX = "base_model.model."  # of the names of stored weights


def names_read(allow_pickle: bool) -> tuple[str, ...]:
    """Return the names of an adapter's files that may be read: of two with weights, the first that there is."""
    return (ADAPTER_CONFIG, ADAPTER_WEIGHTS, *([ADAPTER_PICKLE] if allow_pickle else []))


def check_adapter_names(name: str, files: Collection[str]) -> None:
    """Raise UserError when an adapter whose `files` may be read lacks its configuration or its weights."""
    if ADAPTER_CONFIG not in files:
        raise UserError(f"{name}: has no {ADAPTER_CONFIG}; give a LoRA adapter that peft saved")
    if not {ADAPTER_WEIGHTS, ADAPTER_PICKLE} & set(files):
        raise UserError(
            f"{name}: has no {ADAPTER_WEIGHTS}; give a LoRA adapter that peft saved ({ADAPTER_PICKLE} can run code "
            "when it is opened; if you trust it, set allow_pickle: true beside adapter: --allow-pickle)"
        )


def find(name: str, allow_pickle: bool) -> tuple[Path, Path]:
    """Return the configuration and the weights of an adapter, of a hub id after their download.

    Raises UserError when one is missing, or may not be read.
    """
    folder = local_path(name)
    if folder is not None and not folder.is_dir():
        raise UserError(f"{name}: there is no such folder; give that of a LoRA adapter, or a hub id")
    found: dict[str, Path] = {}
    for file in names_read(allow_pickle):
        if file == ADAPTER_PICKLE and ADAPTER_WEIGHTS in found:
            break
        place = on_the_hub(name, file) if folder is None else folder / file
        if place is not None and place.is_file():
            found[file] = place
    check_adapter_names(name, found)
    config, weights = found.values()
    return config, weights


def on_the_hub(name: str, file: str) -> Path | None:
    """Return the place of an adapter's file in this machine's cache, after its download; None if there is none."""
    try:
        found = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
    except OSError as error:
        raise UserError(
            f"{name}: is no adapter that this machine can reach ({reason(error)}); check the name and the network"
        ) from None
    return None if found is None else Path(found)


def lora_config(file: Path, content: dict[str, Any]) -> Any:
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


def adapter_shapes(weights: Path) -> dict[str, list[int]]:
    """Return the shapes of an adapter's weights by their paths in the model.

    Raises UserError for a file that is damaged, cut off or a pickle of more than tensors.
    """
    shapes = (safetensors_shapes if weights.suffix == ".safetensors" else pickle_shapes)(weights)
    return {key.removeprefix(_PREFIX): list(weight.shape) for key, weight in shapes.items()}


def read_weights(weights: Path) -> dict[str, Tensor]:
    """Return an adapter's weights by their paths in the model. Raises UserError for one that is not finite."""
    is_safe = weights.suffix == ".safetensors"
    stored = load_file(weights) if is_safe else torch.load(weights, map_location="cpu", weights_only=True)
    for key, weight in stored.items():
        if not weight.isfinite().all():
            raise UserError(f"{weights}: the weight {key} contains infinite numbers or NaN; {COPY}")
    return {key.removeprefix(_PREFIX): weight for key, weight in stored.items()}
