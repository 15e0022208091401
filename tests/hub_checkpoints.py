"""Checkpoint folders as the hub has them: each real architecture, tiny and random, with its real tokenizer class, and
in its files the settings that the real one comes with.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase
from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES as MBART_CODES
from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES as MBART50_CODES

TEXTS = ["the quick brown fox jumps over the lazy dog", "what a day it is my friend", "un om bun este aici cu noi"]
OTHER_TEXTS = ["o zi mai lunga decat alta", "pisica neagra doarme pe acoperis"]


@cache
def pieces(texts: tuple[str, ...] = tuple(TEXTS)) -> tuple[bytes, list[tuple[str, float]]]:
    """A sentencepiece model, and its pieces with their scores, without special tokens."""
    model = BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=50, hard_vocab_limit=False, minloglevel=2
    )
    read = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    scored = [(read.id_to_piece(i), read.get_score(i)) for i in range(3, read.get_piece_size())]
    return model.getvalue(), scored


def special(*tokens: str) -> list[tuple[str, float]]:
    return [(token, 0.0) for token in tokens]


@cache
def byte_pairs(*tokens: str) -> dict[str, Any]:
    """A byte-level vocabulary with its merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290, special_tokens=list(tokens), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


def bart_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    return transformers.BartTokenizer(**byte_pairs("<s>", "<pad>", "</s>", "<unk>", "<mask>"))


def gpt2_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    return transformers.GPT2Tokenizer(**byte_pairs("<|endoftext|>"))


def t5_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    return transformers.T5Tokenizer(vocab=[*special("<pad>", "</s>", "<unk>"), *pieces()[1]], extra_ids=10)


def pegasus_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    unused = [f"<unk_{i}>" for i in range(2, 103)]
    vocabulary = [*special("<pad>", "</s>", "<mask_1>", "<mask_2>", *unused, "<unk>"), *pieces()[1]]
    return transformers.PegasusTokenizer(vocab=vocabulary)


def marian_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """One sentencepiece model per language, one vocabulary, the pad token last: added by the conversion."""
    tokens = ["</s>", "<unk>"]
    for name, texts in (("source", TEXTS), ("target", OTHER_TEXTS)):
        model, scored = pieces(tuple(texts))
        (folder / f"{name}.spm").write_bytes(model)
        tokens += [token for token, _ in scored]
    tokens = [*dict.fromkeys(tokens), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    return transformers.MarianTokenizer(*(str(folder / n) for n in ("source.spm", "target.spm", "vocab.json")))


def fairseq(codes: list[str]) -> list[tuple[str, float]]:
    return [*special("<s>", "<pad>", "</s>", "<unk>"), *pieces()[1], *special(*codes, "<mask>")]


def mbart_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    return transformers.MBartTokenizer(vocab=fairseq(MBART_CODES), src_lang="en_XX", tgt_lang="ro_RO")


def mbart50_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    return transformers.MBart50Tokenizer(vocab=fairseq(MBART50_CODES))


@dataclass(frozen=True)
class Published:
    """A checkpoint of the hub.

    `tokens` are the special token ids of its configuration by name, `legacy` the keys that older versions of
    transformers wrote to config.json, `generation` those of generation_config.json (None: there is no such file).
    """

    family: str
    tokenizer: Callable[[Path], PreTrainedTokenizerBase]
    tokens: dict[str, str]
    architecture: dict[str, Any]
    legacy: dict[str, Any] = field(default_factory=dict)
    generation: dict[str, Any] | None = None
    spare_rows: int = 0
    languages: tuple[str, ...] = ()


BART = {
    "d_model": 16,
    "encoder_layers": 3,
    "decoder_layers": 3,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
    "init_std": 0.3,
}
BART_TOKENS = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "decoder_start": "</s>"}
PAD_START = {"pad": "<pad>", "eos": "</s>", "decoder_start": "<pad>"}
SUMMARIES = {
    "summarization": {"length_penalty": 1.0, "max_length": 128, "min_length": 12, "num_beams": 4},
    "summarization_cnn": {"length_penalty": 2.0, "max_length": 142, "min_length": 56, "num_beams": 4},
    "summarization_xsum": {"length_penalty": 1.0, "max_length": 62, "min_length": 11, "num_beams": 6},
}
T5 = {
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 3,
    "num_decoder_layers": 3,
    "num_heads": 2,
    "relative_attention_num_buckets": 8,
}
TRANSLATE = "translate English to Romanian: "
T5_TASKS = {
    "summarization": {
        "early_stopping": True,
        "length_penalty": 2.0,
        "max_length": 200,
        "min_length": 30,
        "no_repeat_ngram_size": 3,
        "num_beams": 4,
        "prefix": "summarize: ",
    },
    "translation_en_to_ro": {"early_stopping": True, "max_length": 300, "num_beams": 4, "prefix": TRANSLATE},
}
STATIC = {"static_position_embeddings": True, "normalize_embedding": False}

HUB = {
    "bart-large": Published(
        "bart",
        bart_tokenizer,
        BART_TOKENS,
        BART,
        {"task_specific_params": SUMMARIES, "forced_eos_token_id": 2, "no_repeat_ngram_size": 3, "num_beams": 4},
        {
            "num_beams": 4,
            "no_repeat_ngram_size": 3,
            "early_stopping": True,
            "min_length": 12,
            "max_length": 128,
            "forced_bos_token_id": 0,
            "forced_eos_token_id": 2,
        },
    ),
    "bart-large-xsum": Published(  # no generation_config.json: all of it in config.json
        "bart",
        bart_tokenizer,
        BART_TOKENS,
        BART,
        {
            "num_beams": 6,
            "max_length": 62,
            "min_length": 11,
            "no_repeat_ngram_size": 3,
            "early_stopping": True,
            "forced_eos_token_id": 2,
            "prefix": " ",
            "extra_pos_embeddings": 2,
            "task_specific_params": {},
        },
    ),
    "pegasus": Published(
        "pegasus",
        pegasus_tokenizer,
        PAD_START,
        BART | {"scale_embedding": True, "activation_function": "relu"},
        STATIC | {"add_final_layer_norm": True, "normalize_before": True, "extra_pos_embeddings": 1},
        {"length_penalty": 0.8, "num_beams": 8, "max_length": 64, "forced_eos_token_id": 1},
    ),
    "marian": Published(
        "marian",
        marian_tokenizer,
        PAD_START,
        BART | {"scale_embedding": True, "activation_function": "swish"},
        STATIC | {"add_bias_logits": False, "num_beams": 4, "max_length": 512},
        {"bad_words_ids": [["<pad>"]], "num_beams": 4, "max_length": 512, "forced_eos_token_id": 0},
    ),
    "mbart": Published(
        "mbart",
        mbart_tokenizer,
        {"bos": "<s>", "pad": "<pad>", "eos": "</s>"},
        BART | {"scale_embedding": True},
        {
            "task_specific_params": {"translation_en_to_ro": {"decoder_start_token_id": 250020}},
            "forced_eos_token_id": 2,
            "num_beams": 5,
            "max_length": 1024,
        },
    ),
    "mbart-50": Published(
        "mbart",
        mbart50_tokenizer,
        BART_TOKENS,
        BART | {"scale_embedding": True},
        {"num_beams": 5, "forced_eos_token_id": 2},
        {"num_beams": 5, "max_length": 200, "early_stopping": True, "forced_bos_token_id": 9, "forced_eos_token_id": 2},
        languages=("en_XX", "ro_RO"),
    ),
    "t5-base": Published(
        "t5",
        t5_tokenizer,
        PAD_START,
        T5,
        {"task_specific_params": T5_TASKS, "n_positions": 512, "output_past": True},
        {},
        spare_rows=28,
    ),
    "t5-v1_1": Published(
        "t5",
        t5_tokenizer,
        PAD_START,
        T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        {"tie_word_embeddings": False, "output_past": True},
        {},
        spare_rows=28,
    ),
    "DialoGPT": Published(
        "gpt2",
        gpt2_tokenizer,
        {"bos": "<|endoftext|>", "eos": "<|endoftext|>"},
        {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 1024, "initializer_range": 0.3},
        {"task_specific_params": {"conversational": {"max_length": 1000}}, "n_ctx": 1024},
        {"max_length": 1000},
        spare_rows=3,
    ),
}


def write(folder: Path, name: str, seed: int = 0, **architecture: Any) -> Path:
    """The checkpoint `name` of `HUB`, in `folder`; `architecture` changes that of the table."""
    published = replace(HUB[name], architecture=HUB[name].architecture | architecture)
    folder.mkdir(parents=True)
    tokenizer = published.tokenizer(folder)
    tokenizer.save_pretrained(folder)
    tokens = {f"{key}_token_id": tokenizer.convert_tokens_to_ids(token) for key, token in published.tokens.items()}
    module = random_module(published, len(tokenizer) + published.spare_rows, tokens, seed)
    module.save_pretrained(folder)
    add_quirks(folder, name, module)

    config = json.loads((folder / "config.json").read_text()) | published.legacy
    (folder / "config.json").write_text(json.dumps(config))
    settings = folder / "generation_config.json"
    settings.unlink()
    if published.generation is not None:
        generation = dict(published.generation)
        if "bad_words_ids" in generation:
            generation["bad_words_ids"] = [[tokens["pad_token_id"]]]
        settings.write_text(json.dumps(tokens | generation))
    return folder


def random_module(published: Published, rows: int, tokens: dict[str, int], seed: int) -> transformers.PreTrainedModel:
    """A random model whose biases and norms are random too, so that one left out would show."""
    family = {"bart": "Bart", "mbart": "MBart", "pegasus": "Pegasus", "marian": "Marian", "t5": "T5", "gpt2": "GPT2"}
    config_class = getattr(transformers, f"{family[published.family]}Config")
    model_class = {
        "marian": transformers.MarianMTModel,
        "t5": transformers.T5ForConditionalGeneration,
        "gpt2": transformers.GPT2LMHeadModel,
    }.get(published.family) or getattr(transformers, f"{family[published.family]}ForConditionalGeneration")
    torch.manual_seed(seed)
    module = model_class(config_class(vocab_size=rows, **tokens, **published.architecture)).eval()
    if published.architecture.get("tie_word_embeddings") is False:  # transformers ties them all the same
        module.lm_head.weight = torch.nn.Parameter(torch.randn_like(module.shared.weight))
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad and parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
        if published.family == "marian":  # the bias of the pad token, like its row of the embeddings, is 0
            module.final_logits_bias.normal_()
        if hasattr(module, "final_logits_bias"):
            module.final_logits_bias[:, tokens["pad_token_id"]] = 0.0
    return module


def add_quirks(folder: Path, name: str, module: transformers.PreTrainedModel) -> None:
    """What the real weight files hold, or lack, beside the parameters."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    if name == "bart-large":  # saved as the model without its output layer
        weights = {key.removeprefix("model."): v for key, v in weights.items() if key != "final_logits_bias"}
    if name == "bart-large-xsum":
        weights["model.encoder.version"] = torch.tensor([3.0])
        weights["lm_head.weight"] = weights["model.shared.weight"].clone()
        weights["model.encoder.embed_tokens.weight"] = weights["model.shared.weight"].clone()
    if name == "t5-base":
        weights["encoder.embed_tokens.weight"] = weights["shared.weight"].clone()
    if name == "marian":
        for stack in ("encoder", "decoder"):
            key = f"model.{stack}.embed_positions.weight"
            weights[key] = module.state_dict()[key].clone()
    if name == "DialoGPT":
        for layer in range(module.config.n_layer):
            weights[f"transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, 4, 4).tril()
            weights[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
        weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()
    save_file(weights, path, metadata={"format": "pt"})
    if name == "mbart-50":  # many languages, none of them set
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"src_lang": None, "tgt_lang": None}))
