"""Configurations of models: read from a checkpoint or made of settings, with every value in bounds before it is used.

transformers accepts most values and fails later, or never: heads of 0, a dropout of 5, a billion labels.
"""

import difflib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.utils import cached_file

from fdistill.models.architectures import model_class
from fdistill.models.checkpoint_files import read_object
from fdistill.models.families import FAMILIES, Family
from fdistill.models.location import CONFIG
from fdistill.runtime.errors import UserError, reason
from fdistill.runtime.validation import Problem, nearest, show

LAYERS, SIZE, LABELS, PARAMETERS = 512, 10**7, 10**5, 10**11  # far above those of the families' largest models
TOKENS = ("eos_token_id", "pad_token_id", "decoder_start_token_id")  # those that are used
ACTIVATIONS = ("activation_function", "dense_act_fn", "hidden_act", "hidden_activation")  # the families' keys of one
TEACHER_CONFIG = "model.teacher.config"  # the key of a configuration made of settings
# Keys of numbers that may be null: no window, no capping of scores and logits.
_MAY_BE_NULL = ("sliding_window", "attn_logit_softcapping", "final_logit_softcapping")
# Keys of configurations on which no layer's output depends: of training, vocabulary, positions, generation, other
# tasks' heads, what becomes of the layers' outputs, and notations of keys that are compared themselves (T5's
# `feed_forward_proj` sets two; `n_inner` is a size that weights have). Any other key counts, those of new families too.
_NOT_OF_LAYERS = re.compile(
    "drop|init|vocab|position|_token_id$|^use_cache$|^is_decoder$|^classifier_|^summary_|^tie_|^share_"
    "|^scale_decoder_outputs$|^add_cross_attention$|^feed_forward_proj$|^n_inner$"
)


def read_configuration(source: str, local_only: bool = False) -> tuple[PreTrainedConfig, Family]:
    """Return the configuration of a checkpoint, a folder or a hub id, and its family.

    `local_only`: a hub id is looked for in this machine's cache only. Raises OSError when there is no config.json,
    UserError for a file that is no JSON object, an unknown family, a value out of bounds, and a quantised model.
    """
    file = Path(cached_file(source, CONFIG, local_files_only=local_only))
    content = read_object(file)
    family = _family_of(file, content)
    if "quantization_config" in content or "compression_config" in content:
        raise UserError(
            f"{file}: the model is quantised, which is not supported; give the unquantised one that it was made from"
        )
    _refuse(str(file), _label_problems(content))
    # Without `trust_remote_code`, transformers would ask the user.
    try:
        config = AutoConfig.from_pretrained(source, local_files_only=local_only, trust_remote_code=False)
    except StrictDataclassError as error:
        raise UserError(f"{file}: {reason(error)}") from None
    _refuse(str(file), _problems(config, family))
    generation = file.with_name("generation_config.json")
    if generation.is_file():  # newer checkpoints have the first token of their decoder here
        settings = read_object(generation)
        _refuse(str(generation), _token_problems(settings, config.vocab_size))
        if getattr(config, "decoder_start_token_id", None) is None:
            config.decoder_start_token_id = settings.get("decoder_start_token_id")
        config.eos_token_id = _joined_ends(config.eos_token_id, settings.get("eos_token_id"))
    _set_outputs(config)
    return config, family


def gguf_configuration(file: Path, ends: list[int]) -> tuple[PreTrainedConfig, Family]:
    """Return the configuration of the model in a GGUF file, and its family; `ends` end its texts besides EOS.

    Raises UserError for an unknown family and for a value out of bounds.
    """
    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
    if others := [token for token in dict.fromkeys(ends) if token != config.eos_token_id]:
        config.eos_token_id = [config.eos_token_id, *others]
    family = _family_of(file, config.to_dict())
    _refuse(str(file), _problems(config, family))
    _set_outputs(config)
    return config, family


def _family_of(file: Path, content: dict[str, Any]) -> Family:
    """Return the family of a configuration. Raises UserError for one that is not known."""
    model_type = content.get("model_type")
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        text = content.get("text_config")
        if isinstance(text, dict) and text.get("model_type") in FAMILIES:
            raise UserError(
                f"{file}: a {model_type} model, which reads more than text; give a checkpoint of its text model alone, "
                f"whose model_type is {text['model_type']}"
            )
        raise UserError(f"{file}: unknown model family '{str(model_type)[:40]}'; known: {', '.join(FAMILIES)}")
    return FAMILIES[model_type]


def _set_outputs(config: PreTrainedConfig) -> None:
    """Have the model return outputs by name, as our code reads them, and hidden states only where it asks for them."""
    config.return_dict, config.output_hidden_states, config.output_attentions = True, False, False


def scratch_configuration(
    family: Family, settings: dict[str, Any], tokens: dict[str, Any], key: str
) -> PreTrainedConfig:
    """Return a configuration made of `settings` and, unless they contain them, `tokens`: the vocabulary's numbers.

    `key` is the one that the settings come from, for messages.
    Raises UserError, with the key, for a key or a value that a model of the family cannot have.
    """
    config_class = getattr(transformers, family.config_class)
    known = _own_keys(config_class) | config_class.attribute_map.keys()
    for name in settings:
        if name not in known:  # transformers would store the key and ignore it
            near = difflib.get_close_matches(str(name), sorted(known), n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise UserError(f"{key}: {family.config_class} has no key '{name}'{hint}")
    where = key.split(".")
    _refuse("", (problem.under(*where) for problem in _label_problems(settings)))
    try:
        config = config_class(**(tokens | settings))
    except (StrictDataclassError, TypeError, ValueError, LookupError) as error:
        raise UserError(f"{key}: {reason(error)}") from None
    _refuse("", (problem.under(*where) for problem in _problems(config, family)))
    return config


def of_layers(config: PreTrainedConfig, family: Family, layers: dict[str, list[int]]) -> PreTrainedConfig:
    """Return the configuration of a model that has, in each stack of `layers`, these layers of the first one's."""
    settings = config.to_dict()
    for name, numbers in layers.items():
        stack = family.stacks[name]
        settings[stack.size_key] = len(numbers)
        for key in stack.per_layer:
            if settings.get(key) is not None:
                settings[key] = [settings[key][number] for number in numbers]
    return type(config).from_dict(settings)


def window(config: PreTrainedConfig) -> int | None:
    """Return how many tokens a layer with a sliding window sees, the token itself included; None without one."""
    types = getattr(config, "layer_types", None) or ["sliding_attention"]  # Mistral and Phi-3 have no list
    return getattr(config, "sliding_window", None) if "sliding_attention" in types else None


def layer_settings(config: PreTrainedConfig, family: Family, stack: str) -> dict[str, Any]:
    """Return the settings on which the outputs of a stack's layers depend, without the number of layers.

    Two models whose layers have weights of the same shapes may differ in them: number of heads, activation, epsilon.
    """
    other_stacks = tuple(f"{name}_" for name in family.stacks if name != stack)
    sizes = {place.size_key for place in family.stacks.values()}
    return {
        key: getattr(config, key)
        for key in sorted(_own_keys(type(config)) - sizes)
        if not _NOT_OF_LAYERS.search(key) and not key.startswith(other_stacks)
    }


def without_numbers(config: PreTrainedConfig, family: Family, where: str) -> PreTrainedModel:
    """Return the model of a configuration on torch's meta device, which takes no memory.

    Raises UserError, which begins with `where`, when there is no such model: heads that do not divide the width.
    """
    try:
        with torch.device("meta"):
            module = model_class(family)(config)
    except (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, AttributeError) as error:
        raise UserError(f"{where}: {reason(error)}") from None
    if (count := sum(parameter.numel() for parameter in module.parameters())) > PARAMETERS:
        raise UserError(f"{where}: makes a model of {count:,} parameters; lower its sizes")
    return module


def _own_keys(config_class: type[PreTrainedConfig]) -> set[str]:
    """Return the keys that a family's configurations have besides those of any model."""
    return config_class().to_dict().keys() - PreTrainedConfig().to_dict().keys()


def _refuse(file: str, problems: Iterator[Problem]) -> None:
    if found := list(problems):
        raise UserError("; ".join(problem.line(file) for problem in found))


def _label_problems(content: dict[str, Any]) -> Iterator[Problem]:
    """Find what would make transformers write a list of a billion labels; summarising models have no labels."""
    count = content.get("num_labels")
    if count is not None and not (isinstance(count, int) and 0 <= count <= LABELS):
        yield Problem(("num_labels",), f"{show(count)} is not allowed; must be an integer from 0 to {LABELS}")


def _problems(config: PreTrainedConfig, family: Family) -> Iterator[Problem]:
    """Find the values that a model of the family cannot have; their kinds are those of the family's defaults."""
    yield from _token_problems(vars(config), config.vocab_size)
    if getattr(config, "use_bidirectional_attention", False):  # Gemma's relatives that embed texts
        yield Problem(("use_bidirectional_attention",), "not allowed: such a model reads what it would have to predict")
    layers = {stack.size_key for stack in family.stacks.values()}
    for key, default in getattr(transformers, family.config_class)().to_dict().items():
        value = getattr(config, key, default)
        if key.endswith("_token_id") or key == "chunk_size_feed_forward" or (value is None and key in _MAY_BE_NULL):
            continue
        if key in ACTIVATIONS:
            if value not in ACT2FN:
                yield Problem((key,), f"unknown activation {show(value)}; {nearest(str(value), ACT2FN)}")
        elif _is_integer(default) or key == "n_inner":
            most = LAYERS if key in layers else SIZE
            if not (_is_integer(value) and 1 <= value <= most) and not (value is None and default is None):
                yield Problem((key,), f"{show(value)} is not allowed; must be an integer from 1 to {most}")
        elif isinstance(default, float):
            most = 1 if "drop" in key else 1000
            if not (isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= most):
                yield Problem((key,), f"{show(value)} is not allowed; must be a number from 0 to {most}")


def _joined_ends(own: int | list[int] | None, generation: int | list[int] | None) -> int | list[int] | None:
    """Return the end tokens of a configuration, and those that the generation settings beside it add to one of them."""
    first, second = ([ids] if not isinstance(ids, list) else ids for ids in (own, generation))
    if not set(first) & set(second):  # a contradiction: the tokenizer shows whether the first are right
        return own
    ids = list(dict.fromkeys([*first, *second]))
    return ids if len(ids) > 1 else ids[0]


def _token_problems(values: dict[str, Any], vocabulary: int) -> Iterator[Problem]:
    """Find special tokens that are not in the vocabulary; a list is for several EOS tokens."""
    for key in TOKENS:
        value = values.get(key)
        ids = value if isinstance(value, list) and key == "eos_token_id" else [value]
        if not all(one is None or (_is_integer(one) and 0 <= one < vocabulary) for one in ids):
            yield Problem((key,), f"{show(value)} is not allowed; must be one of the {vocabulary} tokens")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
