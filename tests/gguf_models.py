"""A tiny Llama, its tokenizer and its chat template in a GGUF file, as llama.cpp's converter writes one."""

from pathlib import Path

import gguf
import numpy as np
import tiny
import torch
from llama_server import MERGED, TEMPLATE
from llama_server import TOKENS as OF_GPT2
from transformers import LlamaConfig, LlamaForCausalLM

UNKNOWN = "<|endoftext|>"  # which transformers adds to a byte-level vocabulary without it
TOKENS = [UNKNOWN, *OF_GPT2]
CONTROL = 3  # so many special tokens

PARTS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
BLOCK_PARTS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def llama(**changes) -> LlamaForCausalLM:
    """The model, always with the same weights."""
    config = tiny.CONFIGS["llama"] | changes
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(TOKENS), bos_token_id=1, eos_token_id=2, **config)).eval()


def write_gguf(
    path: Path, model: LlamaForCausalLM, type_: str = "F32", without: str = "", further: str = "", **keys
) -> Path:
    """Write the model to `path`: matrices of a type, without the tensor of a name, with one of a `further` name.

    `keys` are added (`.` as `__`).
    """
    config = model.config
    writer = gguf.GGUFWriter(path, keys.pop("general__architecture", "llama"))
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(keys.pop("blocks", config.num_hidden_layers))
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if tokens := keys.pop("tokens", TOKENS):
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(tokens)
        kinds = [gguf.TokenType.CONTROL] * CONTROL + [gguf.TokenType.NORMAL] * (len(TOKENS) - CONTROL)
        writer.add_token_types(kinds)
        writer.add_token_merges([" ".join(MERGED)])
        writer.add_bos_token_id(config.bos_token_id)
        writer.add_eos_token_id(config.eos_token_id)
        writer.add_chat_template(TEMPLATE)
    for key, value in keys.items():
        (writer.add_string if isinstance(value, str) else writer.add_uint16)(key.replace("__", "."), value)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, weight in model.named_parameters():
        part, _, kind = name.rpartition(".")
        place, array = PARTS.get(part), weight.detach().numpy()
        if place is None:
            _, _, number, inner = part.split(".", 3)
            inner = BLOCK_PARTS[inner]
            place = f"blk.{number}.{inner}"
            if inner in heads:  # the pairs of rotary positions side by side
                halves = array.reshape(heads[inner], 2, -1, array.shape[1])
                array = halves.swapaxes(1, 2).reshape(array.shape)
        if f"{place}.{kind}" == without:
            continue
        stored = gguf.GGMLQuantizationType[type_ if array.ndim > 1 else "F32"]
        writer.add_tensor(f"{place}.{kind}", gguf.quantize(np.ascontiguousarray(array), stored), raw_dtype=stored)
    if further:
        writer.add_tensor(further, np.ones(config.hidden_size, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
