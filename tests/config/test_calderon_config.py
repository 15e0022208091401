"""The tasks of Calderon et al., cell by cell against their table of docs/settings.md."""

import json
import re

import pytest
from fdistill import config
from fdistill.data.sources import source_module
from snake import ROOT

TASKS = ("squad_questions", "shakespeare", "art")
SECTION = (ROOT / "docs/settings.md").read_text().split("## Calderon et al. 2023")[1].split("\n## ")[0]


@pytest.fixture(scope="module")
def study():
    return config.load({"tasks": list(TASKS), "methods": ["kl"], "seeds": [1]}, [], ROOT)


def trained(stage):
    rate = f"{stage['learning_rate']:.0e}".replace("e-0", "e-")
    return f"{rate}, {stage['epochs']} epochs", f"{stage['batch_size']} × {stage['accumulation']}"


@pytest.mark.parametrize("task", TASKS)
def test_the_document_says_what_the_configuration_says(study, task):
    settings = study.task(task)
    training, samples = settings["training"], settings["teacher_samples"]
    assert training["predistill"] == training["distill"]
    for stage, epochs in (("teacher", 10), ("distill", 16)):
        chosen = training[stage]
        assert chosen["patience"] * chosen["evaluate_every"] == epochs
        assert (chosen["optimizer"], chosen["weight_decay"], chosen["precision"]) == ("adamw", 1e-5, "fp32")
        assert chosen["batch_size"] * chosen["accumulation"] == 96
    assert settings["model"]["teacher"]["init"] == "google-t5/t5-large"
    (row,) = re.findall(rf"^\| `{task}` \|(.*)\|$", SECTION, re.M)
    assert [cell.strip() for cell in row.split("|")] == [
        str(settings["text"]["max_source_tokens"]),
        str(settings["text"]["max_target_tokens"]),
        *trained(training["teacher"]),
        *trained(training["distill"]),
        f"{settings['selection']['metric']}, {settings['selection']['num_beams']} beams",
        f"{samples['mode']} {samples['top_p']}, {samples['per_input']} per input",
    ]


@pytest.mark.parametrize("task", TASKS)
def test_every_setting_names_its_source(task):
    text = (ROOT / f"config/tasks/{task}.yaml").read_text().split("\ntext:\n")[1]
    settings = [line for line in text.splitlines() if re.match(r" +\w+: [^{&]", line)]
    assert len(settings) > 20
    assert [line for line in settings if not re.search(r"  # .*\b(paper|code|ours)\b", line)] == []


def test_the_authors_own_splits_can_be_read(tmp_path, monkeypatch):
    """The page's script turns their JSON file, a mapping of splits to columns, into files of pairs."""
    (script,) = re.findall(r"```python title=\"their_splits.py\"\n(.*?)```", SECTION, re.S)
    splits = {
        name: {"text": [f"{name} 1\n", "b"], "target": ["c", "d"]} for name in ("train", "dev", "test", "unlabeled")
    }
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shakespeare_7k.json").write_text(json.dumps(splits))
    exec(script)
    files = {split: f"theirs/{split}.source" for split in ("train", "dev", "test")}
    corpus = source_module("shakespeare").load({}, {"path": files})
    pairs = [(example.source, example.references) for example in corpus.splits["test"]]
    assert pairs == [("test 1", ("c",)), ("b", ("d",))]
    assert (tmp_path / "theirs/unlabelled.source").read_text() == "unlabeled 1\nb\n"
