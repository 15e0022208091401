"""Tiny models and tokenizers of every family, and reference computations that share no library code."""

import random
from pathlib import Path

import torch
from fdistill.artifacts.files import write_parquet
from fdistill.data.schemas import SPLIT
from fdistill.losses.inputs import IGNORE
from fdistill.models.checkpoints import Checkpoint, from_scratch
from fdistill.models.families import FAMILIES
from fdistill.training.settings import TrainingSettings
from scipy.stats import chisquare
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

LETTERS = "abcdefgh"

# Wide initialisation: the distributions of a random model are then far from uniform, and from each other's.
_BART = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 32,
    "init_std": 0.4,
    "dropout": 0.0,
}
# Grouped queries: two heads share the keys and values of one.
_LLAMA = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "initializer_range": 0.4,
}
# Windows of 4 tokens, in every second layer or so: the texts are longer.
_WINDOWS = {"use_sliding_window": True, "sliding_window": 4}
CONFIGS = {
    "bart": _BART,
    "mbart": _BART | {"scale_embedding": True},
    "pegasus": _BART | {"scale_embedding": True},
    "marian": _BART | {"scale_embedding": True},
    "t5": {
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 32,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "num_heads": 2,
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 16,
        "initializer_factor": 1.3,
        "dropout_rate": 0.0,
    },
    "gpt2": {
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 32,
        "initializer_range": 0.4,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    },
    "llama": _LLAMA,
    "mistral": _LLAMA | {"sliding_window": 4},
    "qwen2": _LLAMA | _WINDOWS | {"max_window_layers": 1},
    "qwen3": _LLAMA | _WINDOWS | {"max_window_layers": 1, "head_dim": 8},
    "smollm3": _LLAMA | _WINDOWS | {"no_rope_layer_interval": 2},
    "gemma": _LLAMA | {"head_dim": 8},
    "gemma2": _LLAMA
    | {"head_dim": 8, "sliding_window": 4, "final_logit_softcapping": 5.0, "attn_logit_softcapping": 3.0},
    "gemma3_text": _LLAMA | {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 4},
    "phi": _LLAMA,
    "phi3": _LLAMA | {"sliding_window": 4},
    "opt": {
        "hidden_size": 16,
        "ffn_dim": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "init_std": 0.4,
        "dropout": 0.0,
    },
}


LLAMAS = [name for name, config in CONFIGS.items() if config.items() >= _LLAMA.items()]


def for_kin(value) -> dict:
    """The same for BART and its relatives, one architecture up to positions and norms."""
    return dict.fromkeys(("bart", "mbart", "pegasus", "marian"), value)


def for_llamas(value) -> dict:
    """The same for Llama and its relatives, one architecture up to norms, windows and scalings."""
    return dict.fromkeys(LLAMAS, value)


DROPOUT = {
    **for_kin({"dropout": 0.5}),
    "t5": {"dropout_rate": 0.5},
    "gpt2": {"resid_pdrop": 0.5, "embd_pdrop": 0.5},
    **for_llamas({"attention_dropout": 0.5}),
    "opt": {"dropout": 0.5},
}
LAYER_KEYS = {
    **for_kin(("encoder_layers", "decoder_layers")),
    "t5": ("num_layers", "num_decoder_layers"),
    "gpt2": ("n_layer",),
    **for_llamas(("num_hidden_layers",)),
    "opt": ("num_hidden_layers",),
}


def tokenizer(family: str, letters: str = LETTERS) -> PreTrainedTokenizerFast:
    """One token per letter, the family's special tokens, spaces between tokens."""
    special = FAMILIES[family].scratch_tokens
    tokens = [*special.values(), *([] if "unk_token" in special else ["<unk>"]), *letters]
    inner = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if FAMILIES[family].closes_text:
        eos = special["eos_token"]
        inner.post_processor = processors.TemplateProcessing(
            single=f"$A {eos}", special_tokens=[(eos, tokens.index(eos))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=inner, **special)


def checkpoint(family: str, seed: int = 0, letters: str = LETTERS, **config) -> Checkpoint:
    """A random model with its tokenizer, in evaluation mode."""
    made = from_scratch(FAMILIES[family], CONFIGS[family] | config, tokenizer(family, letters), seed)
    made.model.module.eval()
    return made


def logits(made: Checkpoint, source, labels: torch.Tensor) -> torch.Tensor:
    """Those of the labels under teacher forcing, (B, T, V), and 0 at padded positions."""
    valid = labels != IGNORE
    found = made.model.logits(made.model.decode(made.model.encode(source), labels).states)
    whole = found.new_zeros((*labels.shape, found.shape[-1]))
    whole[valid] = found
    return whole


def letter_ids(made: Checkpoint) -> list[int]:
    """Token ids of the letters, in order."""
    return sorted(i for token, i in made.tokenizer.get_vocab().items() if not token.startswith("<"))


def random_pairs(made: Checkpoint, count: int, longest: int = 6, seed: int = 0) -> tuple[list, list]:
    """Sources and targets of unequal lengths, as token ids; EOS ends targets, and sources of some families."""
    generator = torch.Generator().manual_seed(seed)
    eos = made.model.eos_token_id
    letters = torch.tensor(letter_ids(made))

    def random_ids() -> list[int]:
        length = int(torch.randint(1, longest + 1, (1,), generator=generator))
        return letters[torch.randint(len(letters), (length,), generator=generator)].tolist()

    closing = [eos] if made.model.family.closes_text else []
    return [random_ids() + closing for _ in range(count)], [[*random_ids(), eos] for _ in range(count)]


def settings(**changes) -> TrainingSettings:
    """Plain training settings; `changes` replace some."""
    return TrainingSettings(
        **{
            "optimizer": "adamw",
            "learning_rate": 1e-2,
            "weight_decay": 0.0,
            "batch_size": 8,
            "accumulation": 1,
            "max_examples": None,
            "max_unlabelled": None,
            "epochs": 1,
            "max_steps": None,
            "warmup_steps": 0,
            "max_grad_norm": 1e9,
            "precision": "fp32",
            "freeze": [],
            "evaluate_every": 1,
            "patience": None,
            "max_skipped_steps": 0,
            "checkpoint_minutes": None,
        }
        | changes
    )


# --- references: one example at a time, no padding, transformers called directly
# ----------------------------------


def reference_outputs(model, source: list[int], target: list[int]):
    """transformers' output for one example, with hidden states."""
    ids = torch.tensor([source])
    if model.family.is_encoder_decoder:
        decoder_input_ids = torch.tensor([[model.module.config.decoder_start_token_id, *target[:-1]]])
        return model.module(input_ids=ids, decoder_input_ids=decoder_input_ids, output_hidden_states=True)
    return model.module(input_ids=torch.tensor([source + target]), output_hidden_states=True)


def reference_log_probs(model, source: list[int], target: list[int]) -> torch.Tensor:
    """The log q(. | y_<t, x) of each target position, (T, V); decoder-only: source[-1] predicts y_1."""
    logits = reference_outputs(model, source, target).logits[0]
    if not model.family.is_encoder_decoder:
        logits = logits[len(source) - 1 : len(source) - 1 + len(target)]
    return logits.log_softmax(-1)


def reference_nll(model, source: list[int], target: list[int]) -> torch.Tensor:
    """-log q(y|x), a sum over the target's tokens."""
    log_probs = reference_log_probs(model, source, target)
    return -sum(log_probs[t, token] for t, token in enumerate(target))


def truncated(
    log_probs: torch.Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0
) -> dict[int, float]:
    """The probabilities of the tokens that are left of a distribution (V,): by temperature, then top-k, then top-p."""
    p = (log_probs.double() / temperature).softmax(-1)
    kept, mass = {}, 0.0
    for token in p.argsort(descending=True)[:top_k].tolist():
        if mass >= top_p * float(p.topk(top_k or len(p)).values.sum()):
            break
        kept[token] = float(p[token])
        mass += kept[token]
    return {token: value / mass for token, value in kept.items()}


def check_frequencies(seen: list[int], expected: dict[int, float]) -> None:
    """Check by a chi-square test that the tokens `seen` may have these probabilities; the rare ones are one class."""
    assert set(seen) <= expected.keys()
    common = [token for token, p in expected.items() if p * len(seen) >= 5]
    observed, frequencies = [seen.count(token) for token in common], [len(seen) * expected[token] for token in common]
    if (rest := len(seen) - sum(frequencies)) >= 5:
        observed, frequencies = [*observed, len(seen) - sum(observed)], [*frequencies, rest]
    scale = sum(observed) / sum(frequencies)  # of the common tokens alone, where the rare ones make no class
    assert chisquare(observed, [scale * frequency for frequency in frequencies]).pvalue > 1e-4


def write_splits(folder: Path, sizes: dict[str, int], chance: random.Random) -> None:
    """Write splits of random letters, of the given sizes, as `prepare` writes them."""
    for split, size in sizes.items():
        texts = [" ".join(chance.choices(LETTERS, k=chance.randint(1, 6))) for _ in range(2 * size)]
        ids = [f"{split}{i}" for i in range(size)]
        rows = {"id": ids, "group": ids, "source": texts[:size], "references": [[text] for text in texts[size:]]}
        write_parquet(folder / f"{split}.parquet", rows, SPLIT)
