"""A small repository with a configuration, for the tests of the configuration."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from fdistill import config
from fdistill.config.files import merge
from fdistill.runtime.errors import UserError

MAIN, OPEN, TASK, METHODS, CLAIMS = (
    "config/config.yaml",
    "config/open.yaml",
    "config/tasks/web.yaml",
    "config/methods.yaml",
    "config/claims.yaml",
)
MERGED = "config (merged, e.g. from --config)"

STUDY = {"tasks": ["web"], "methods": ["mle", "kl"], "seeds": [1]}
WEB = {
    "title": "Web",
    "description": "A small task",
    "source": {"kind": "botocore", "train_size": 10},
    "text": {"max_source_tokens": 32, "max_target_tokens": 16},
    "model": {
        "family": "bart",
        "teacher": {"config": {"encoder_layers": 4, "decoder_layers": 2, "max_position_embeddings": 64}},
        "student": {"encoder": 2, "decoder": [0]},
    },
    "training": {stage: {"learning_rate": 0.001, "epochs": 1} for stage in ("teacher", "predistill", "distill")},
    "decoding": {"max_new_tokens": 16},
    "metrics": ["bleu4"],
}
CHAT = WEB | {
    "model": {
        "family": "gpt2",
        "teacher": {"config": {"n_layer": 4, "n_positions": 64}},
        "student": {"decoder": 2},
    }
}
TABLE = {
    "mle": {
        "title": "MLE",
        "start": "init_student",
        "training": "predistill",
        "terms": [{"sequences": "ground_truth", "loss": "nll"}],
    },
    "predistill": {
        "title": "Pre",
        "start": "init_student",
        "training": "predistill",
        "terms": [{"sequences": "ground_truth", "loss": "kl"}],
    },
    "seqkd": {
        "title": "SeqKD",
        "start": "predistill",
        "training": "distill",
        "terms": [{"sequences": "teacher_beam", "loss": "nll"}],
    },
    "kl": {
        "title": "KL",
        "start": "predistill",
        "training": "distill",
        "terms": [{"sequences": "teacher_samples", "loss": "kl"}],
    },
}
UNTESTED = {"text": "KL is fast.", "source": "a paper", "missing": {"reason": "no times", "fix": "measure them"}}


def put(settings: dict, key: str, value) -> dict:
    """A copy of `settings` with the value at a dotted key changed (removed when it is `...`)."""
    settings = deepcopy(settings)
    *outer, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    inner = settings
    for part in outer:
        inner = inner[part] if isinstance(part, int) else inner.setdefault(part, {})
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return settings


class Project:
    """A repository with a configuration; `load` merges the files as Snakemake does."""

    def __init__(self, root: Path):
        self.root = root
        self.configs = [MAIN]
        for file, content in ((MAIN, STUDY), (METHODS, TABLE), (TASK, WEB), (CLAIMS, {"fast": UNTESTED})):
            self.write(file, content)

    def write(self, file: str, content) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False), "utf-8")
        if file.count("/") == 1 and file not in (METHODS, CLAIMS, *self.configs):
            self.configs.append(file)

    def load(self, **command_line) -> config.Study:
        merged: dict = {}
        for file in self.configs:
            try:
                content = yaml.safe_load((self.root / file).read_text("utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError):
                continue
            merged = merge(merged, content) if isinstance(content, dict) else merged
        return config.load(merge(merged, command_line), [self.root / file for file in self.configs], self.root)

    def mistakes(self, **command_line) -> list[str]:
        """Return the mistakes of the study and, if it has none, those of every task."""
        with pytest.raises(UserError) as error:
            study = self.load(**command_line)
            for name in study.all_tasks:
                study.task(name)
        first, *lines = str(error.value).splitlines()
        assert first == "the configuration has mistakes:"
        return [line.strip() for line in lines]

    def refuses(self, task: dict, text: str) -> None:
        """The task, in the file of the only one, has one mistake, which is reported for this file by `text`."""
        self.write(TASK, task)
        (line,) = self.mistakes()
        assert line.startswith(f"{TASK}: ")
        assert text in line
