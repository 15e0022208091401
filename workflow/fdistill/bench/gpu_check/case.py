"""What a check runs on: a family's small model with its texts and files, in one precision, on one device."""

import os
import random
import runpy
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_json_lines, write_parquet
from fdistill.config.method_table import Methods
from fdistill.config.model_checks import SCRATCH
from fdistill.config.schema import fill_defaults, section
from fdistill.data.limits import Limits
from fdistill.data.schemas import SPLIT
from fdistill.models.families import FAMILIES
from fdistill.training.settings import TrainingSettings

SCRIPTS = Path(__file__).parents[3] / "scripts"
PRECISIONS = ("fp32", "bf16")
SEED = 1

# The configuration of each family's model, without its vocabulary, and the keys of its dropout. Another family is
# checked by another entry. The initialisation is wide: the losses of nearly equal distributions are sums that cancel,
# whose relative rounding says nothing.
_WIDTH, _POSITIONS, _STD = 32, 320, 0.2
ARCHITECTURES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "bart": (
        {
            **{"d_model": _WIDTH, "encoder_layers": 2, "decoder_layers": 2, "max_position_embeddings": _POSITIONS},
            **{"encoder_attention_heads": 2, "encoder_ffn_dim": 64, "init_std": _STD},
            **{"decoder_attention_heads": 2, "decoder_ffn_dim": 64},
        },
        ("dropout",),
    ),
    "t5": (
        {
            **{"d_model": _WIDTH, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2},
            "initializer_factor": 1.3,
        },
        ("dropout_rate",),
    ),
    "gpt2": (
        {"n_embd": _WIDTH, "n_layer": 2, "n_head": 2, "n_positions": _POSITIONS, "initializer_range": _STD},
        ("resid_pdrop", "embd_pdrop", "attn_pdrop"),
    ),
    "llama": (
        {
            **{"hidden_size": _WIDTH, "intermediate_size": 64, "num_hidden_layers": 2, "initializer_range": _STD},
            **{"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": _POSITIONS},
        },
        ("attention_dropout",),
    ),
}

# Texts are sentences of these words. Sources are longer than the 128 keys up to which a fused attention has one order
# of summation, so that one whose order varies is seen.
WORDS = ("north", "south", "river", "stone", "green", "night", "seven", "small", "house", "light", "water", "paper")
SIZES = {"train": 24, "dev": 8, "test": 8}
SOURCE_WORDS, TARGET_WORDS = (10, 60), (2, 6)
LIMITS = Limits(max_source_tokens=224, max_target_tokens=24, too_long="truncate")
VOCABULARY = 300
BATCH = 8
TRAINING = {"learning_rate": 3e-3, "batch_size": BATCH, "epochs": 3}


@dataclass(frozen=True)
class Case:
    """A family in a precision on a device; its files lie in `folder`. `methods` are those of `config/methods.yaml`."""

    family: str
    precision: str
    device: str
    threads: int
    folder: Path
    methods: Methods

    def path(self, name: str) -> Path:
        """Return the path of one of the case's files."""
        return self.folder / name

    def on_cpu(self) -> "Case":
        """Return the same case, computed in float32 on the CPU."""
        return replace(self, device="cpu", precision="fp32")

    @property
    def stacks(self) -> dict[str, int]:
        """The student's layers per stack."""
        return dict.fromkeys(FAMILIES[self.family].stacks, 1)

    def model(self, vocabulary: int = VOCABULARY, dropout: float = 0.1) -> dict[str, Any]:
        """Return section `model` of a task with this family's model."""
        config, keys = ARCHITECTURES[self.family]
        teacher = {"init": SCRATCH, "vocab_size": vocabulary, "config": config | dict.fromkeys(keys, dropout)}
        return {"family": self.family, "teacher": teacher, "student": self.stacks}

    def settings(self, **changes: Any) -> TrainingSettings:
        """Return the settings of training in this precision."""
        given = TRAINING | {"precision": self.precision} | changes
        return TrainingSettings(**fill_defaults(given, section("training")))

    def write_texts(self) -> None:
        """Write the splits: sources of words, and as targets the first of them."""
        chance = random.Random(SEED)
        self.folder.mkdir(parents=True, exist_ok=True)
        for split, size in SIZES.items():
            sources = [chance.choices(WORDS, k=chance.randint(*SOURCE_WORDS)) for _ in range(size)]
            ids = [f"{split}{row}" for row in range(size)]
            rows = {"id": ids, "group": ids, "source": [" ".join(words) for words in sources]}
            rows["references"] = [[" ".join(words[: chance.randint(*TARGET_WORDS)])] for words in sources]
            write_parquet(self.path(f"{split}.parquet"), rows, SPLIT)

    def training(self, name: str, **changes: Any) -> list[Any]:
        """Return the arguments of a training that writes its model and history as `name`."""
        settings = TRAINING | {"precision": self.precision} | changes
        data = ["--train", self.path("train.parquet"), "--dev", self.path("dev.parquet")]
        outputs = ["--model", self.path(f"{name}/model"), "--history", self.path(f"{name}/train.jsonl")]
        return [*data, *outputs, *_flags(settings), *self.run_flags(), *text_flags()]

    def run_flags(self) -> list[Any]:
        """Return the arguments that every script with a model has."""
        return ["--seed", SEED, "--device", self.device, "--threads", self.threads]

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return the history of the training `name`."""
        return read_json_lines(self.path(f"{name}/train.jsonl"))[0]


def text_flags() -> list[Any]:
    """Return the arguments of section `text`."""
    keys = ("max_source_tokens", "max_target_tokens", "too_long")
    return _flags({key: getattr(LIMITS, key) for key in keys})


def _flags(settings: dict[str, Any]) -> list[Any]:
    return [part for key, value in settings.items() for part in (f"--{key.replace('_', '-')}", value)]


class ScriptFailed(Exception):
    """A script of the workflow refused its arguments, or failed: what it said."""


def run_script(name: str, arguments: Iterable[Any]) -> None:
    """Run a script of the workflow in this process; raise ScriptFailed with what it says when it does not succeed."""
    before = sys.argv
    sys.argv = [str(SCRIPTS / f"{name}.py"), *map(str, arguments)]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as exit:
        if exit.code:
            raise ScriptFailed(f"{name}: {exit.code}") from None
    finally:
        sys.argv = before


def redirect(log: str) -> None:
    """Append what this process writes, on both streams, to a file."""
    with open(log, "a") as file:  # noqa: PTH123 - also where no Path can be made, in a process that begins
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
