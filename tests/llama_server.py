"""A real endpoint on the loopback: llama.cpp's server with a tiny GPT-2, whose outputs transformers can compute too."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gguf
import numpy as np
import tiny
import torch
from transformers import GPT2Config, GPT2LMHeadModel

SPECIAL = ["<|im_start|>", "<|im_end|>"]
# A token for each printable character; "Ġ" and "Ċ" stand for the blank and the line's end in byte-level BPE. llama.cpp
# needs one merge, whose token no test makes.
MERGED = "~~"
TOKENS = [*SPECIAL, *map(chr, range(33, 127)), "Ġ", "Ċ", MERGED]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
POSITIONS = 256
# What GGUF calls the parts of a GPT-2.
PARTS = {"transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm"}
BLOCK_PARTS = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
SERVER = """
import sys, time, xllamacpp
settings = xllamacpp.CommonParams()
settings.model.path, key = sys.argv[1:]
settings.hostnames, settings.port = ["127.0.0.1"], 0
settings.n_ctx, settings.n_parallel, settings.cpuparams.n_threads = 4 * 256, 4, 1
settings.api_keys = [key] if key else []
settings.cache_prompt = settings.fit_params = settings.warmup = False
server = xllamacpp.Server(settings)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


def model() -> GPT2LMHeadModel:
    """The model, always with the same weights; special tokens, EOS among them, are never the likeliest."""
    config = tiny.CONFIGS["gpt2"] | {"n_embd": 32, "n_positions": POSITIONS}
    torch.manual_seed(0)
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=len(TOKENS), bos_token_id=0, eos_token_id=1, **config)).eval()
    gpt2.transformer.wte.weight.data[: len(SPECIAL)] = 0
    return gpt2


def token_id(token: str) -> int:
    """The id of a token as the server writes it."""
    return TOKENS.index({" ": "Ġ", "\n": "Ċ"}.get(token, token))


def tokens_of(text: str) -> list[int]:
    """The token ids of a text without special tokens, a character each."""
    return list(map(token_id, text))


def write_model(path: Path) -> None:
    """Write the model, its tokenizer and its chat template as GGUF, the format of llama.cpp."""
    gpt2 = model()
    config = gpt2.config
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_feed_forward_length(4 * config.n_embd)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(TOKENS)
    kinds = [gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * (len(TOKENS) - len(SPECIAL))
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(MERGED)])
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, weight in gpt2.named_parameters():
        part, _, kind = name.rpartition(".")
        if part not in PARTS:
            _, _, number, inner = part.split(".", 3)
            part, weight = f"blk.{number}.{BLOCK_PARTS[inner]}", weight.T if weight.dim() == 2 else weight
        else:
            part = PARTS[part]
        writer.add_tensor(f"{part}.{kind}", np.ascontiguousarray(weight.detach().numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextmanager
def serving(path: Path, key: str = "") -> Iterator[str]:
    """Serve the model at `path`, to those with the `key` if there is one; yield the server's address."""
    command = [sys.executable, "-c", SERVER, str(path), key]
    with path.with_suffix(".log").open("a") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        address = process.stdout.readline().strip()
        assert address, path.with_suffix(".log").read_text()
        yield address
    finally:
        process.kill()
        process.communicate()
