"""The model families: what differs between BART and its relatives, T5, GPT-2, and Llama and its relatives.

To add a family whose architecture is like one of these, add an entry to `FAMILIES`.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from fdistill.runtime.errors import UserError


@dataclass(frozen=True)
class Stack:
    """One stack of layers: the paths of its modules, and the configuration keys of its numbers of layers and heads.

    `per_layer` are the configuration keys, if a model has them, of lists with an entry for each layer.
    """

    modules: str  # dotted path of the module list, also the prefix of its parameters' names
    size_key: str
    module: str  # dotted path of the whole stack, which `freeze` uses
    heads_key: str
    per_layer: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """A model family of transformers.

    `embeddings` are the dotted paths of the modules that `freeze: [embeddings]` freezes. `constant` are those of
    modules that are never trained: sinusoidal positions, which transformers makes trainable when it loads a checkpoint.

    `scratch_tokens` are the special tokens of a tokenizer trained from scratch. `closes_text` says whether the family's
    tokenizers append EOS to every text, sources too.

    `ctranslate2` is the class in CTranslate2's converters that reads the family's models; None where the converted
    model computes something else.

    `pad_is_never_predicted`: the original model has no pad token in its vocabulary. The conversion to transformers
    added one with a row of zeros, so that its logit is 0 whatever the context, and relies on decoding to ban it. Here
    the distribution itself excludes it: the logit of the pad token is `NEVER` in teacher forcing, sampling and
    decoding alike.
    """

    model_class: str
    config_class: str
    is_encoder_decoder: bool
    stacks: dict[str, Stack]
    embeddings: tuple[str, ...]
    constant: tuple[str, ...] = ()
    scratch_tokens: dict[str, str] = field(default_factory=dict)
    closes_text: bool = True
    decoder_start: str = "eos_token"  # the special token that a decoder trained from scratch starts with
    positions_key: str | None = None  # configuration key of the number of positions; None: positions are relative
    pad_is_never_predicted: bool = False
    ctranslate2: str | None = None

    @property
    def source_side(self) -> str:
        """The side on which sources are cut and padded: a decoder-only model continues its source and needs the end."""
        return "right" if self.is_encoder_decoder else "left"


# A logit whose probability is 0 in float32. It is finite because divergences of -inf are not.
NEVER = -1e4

_POSITIONS = ("model.encoder.embed_positions", "model.decoder.embed_positions")

_BART = Family(
    model_class="BartForConditionalGeneration",
    config_class="BartConfig",
    is_encoder_decoder=True,
    stacks={
        "encoder": Stack("model.encoder.layers", "encoder_layers", "model.encoder", "encoder_attention_heads"),
        "decoder": Stack("model.decoder.layers", "decoder_layers", "model.decoder", "decoder_attention_heads"),
    },
    embeddings=("model.shared", *_POSITIONS),
    scratch_tokens={"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
    positions_key="max_position_embeddings",
    ctranslate2="BartLoader",
)

# Pegasus and Marian: BART with sinusoidal positions, whose decoder starts with the pad token.
_SINUSOIDAL = replace(
    _BART,
    embeddings=("model.shared",),
    constant=_POSITIONS,
    scratch_tokens={"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
    decoder_start="pad_token",
    pad_is_never_predicted=True,
)

# The common shape of today's decoder-only models, whose positions are rotary.
_LLAMA = Family(
    model_class="LlamaForCausalLM",
    config_class="LlamaConfig",
    is_encoder_decoder=False,
    stacks={
        "decoder": Stack(
            "model.layers", "num_hidden_layers", "model", "num_attention_heads", ("layer_types", "no_rope_layers")
        )
    },
    embeddings=("model.embed_tokens",),
    scratch_tokens={"eos_token": "<|endoftext|>", "pad_token": "<pad>"},
    closes_text=False,
    positions_key="max_position_embeddings",
    ctranslate2="LlamaLoader",
)


def _like_llama(name: str, ctranslate2: str | None = None, **changes: Any) -> Family:
    """Return a family of the common shape, whose classes in transformers begin with `name`."""
    classes = {"model_class": f"{name}ForCausalLM", "config_class": f"{name}Config"}
    return replace(_LLAMA, **classes | {"ctranslate2": ctranslate2} | changes)


FAMILIES = {
    "bart": _BART,
    # mBART, mBART-50. The decoder of a checkpoint starts with the target's language code
    # (`tokenization.decoder_prompt`); a model from scratch has one language pair and starts as BART does.
    "mbart": replace(_BART, model_class="MBartForConditionalGeneration", config_class="MBartConfig"),
    "pegasus": replace(_SINUSOIDAL, model_class="PegasusForConditionalGeneration", config_class="PegasusConfig"),
    "marian": replace(_SINUSOIDAL, model_class="MarianMTModel", config_class="MarianConfig"),
    "t5": Family(
        model_class="T5ForConditionalGeneration",
        config_class="T5Config",
        is_encoder_decoder=True,
        stacks={
            "encoder": Stack("encoder.block", "num_layers", "encoder", "num_heads"),
            "decoder": Stack("decoder.block", "num_decoder_layers", "decoder", "num_heads"),
        },
        embeddings=("shared",),
        scratch_tokens={"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
        decoder_start="pad_token",
        ctranslate2="T5Loader",
    ),
    "gpt2": Family(
        model_class="GPT2LMHeadModel",
        config_class="GPT2Config",
        is_encoder_decoder=False,
        stacks={"decoder": Stack("transformer.h", "n_layer", "transformer", "n_head")},
        embeddings=("transformer.wte", "transformer.wpe"),
        scratch_tokens={"eos_token": "<|endoftext|>", "pad_token": "<pad>"},
        closes_text=False,
        positions_key="n_positions",
        ctranslate2="GPT2Loader",
    ),
    "llama": _LLAMA,
    "mistral": _like_llama("Mistral", "MistralLoader"),
    "qwen2": _like_llama("Qwen2", "Qwen2Loader"),
    "qwen3": _like_llama("Qwen3", "Qwen3Loader"),
    "smollm3": _like_llama("SmolLM3"),
    "gemma": _like_llama("Gemma", "GemmaLoader"),
    "gemma2": _like_llama("Gemma2"),
    "gemma3_text": _like_llama("Gemma3", "Gemma3Loader", config_class="Gemma3TextConfig"),
    "phi": _like_llama("Phi"),
    "phi3": _like_llama("Phi3"),
    "opt": _like_llama(  # learned positions, and the names of BART's decoder
        "OPT",
        "OPTLoader",
        stacks={"decoder": Stack("model.decoder.layers", "num_hidden_layers", "model.decoder", "num_attention_heads")},
        embeddings=("model.decoder.embed_tokens", "model.decoder.embed_positions"),
    ),
}


def check_family(init: str, model_type: str, family: str, key: str) -> None:
    """Raise UserError when a checkpoint, of transformers' `model_type`, is not of the family that `key` is set to."""
    if model_type != family:
        raise UserError(f"{key}: {init} is a {model_type} model, not {family}; set its family, or take another model")
