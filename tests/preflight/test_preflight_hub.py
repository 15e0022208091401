"""Preflight's look at models on the hub, against a server that answers as the hub does."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from fdistill.models.checkpoint_files import TOKENIZERS
from fdistill.models.location import CONFIG, PICKLE, WEIGHTS
from fdistill.preflight import hub, reach
from hub_checkpoints import write
from loopback_hub import serving
from small_config import MAIN, STUDY, TASK, WEB, Project
from snake import ROOT

TASKS = {  # name: its teacher's checkpoint and its metric's encoder
    "whole": ("someone/bart", "someone/bert"),
    "bare": ("someone/bare", "someone/bart"),
    "half": ("someone/half", "someone/half"),
    "gated": ("gated/bart", "gated/bart"),
    "nothing": ("someone/nothing", "someone/nothing"),
    "adapted": ("someone/bart", "someone/bert"),
    "prefixed": ("someone/bart", "someone/bert"),
}


ADAPTERS = {"adapted": "someone/lora", "prefixed": "someone/prefix"}  # of their teachers


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The hub's models: whole ones, and some that lack a file or may not be downloaded."""
    root = tmp_path_factory.mktemp("hub")
    whole = write(root / "someone/bart", "bart-large")
    for name, lacking in (("gated/bart", None), ("someone/bare", "tokenizer.json"), ("someone/half", WEIGHTS)):
        shutil.copytree(whole, root / name, ignore=lambda folder, names, lacking=lacking: {lacking} & set(names))
    for name, kind in (("someone/lora", "LORA"), ("someone/prefix", "PREFIX_TUNING")):
        (root / name).mkdir()
        config = {"peft_type": kind, "r": 2, "lora_alpha": 2, "target_modules": ["q_proj"]}
        (root / name / "adapter_config.json").write_text(json.dumps(config))
        (root / name / "adapter_model.safetensors").write_bytes(bytes(1000))
    (root / "someone/bert").mkdir()
    for name, size in ((CONFIG, 2), (WEIGHTS, 3_000_000_000), ("vocab.txt", 2)):
        with (root / "someone/bert" / name).open("wb") as file:
            file.truncate(size)  # takes no room on the disk
    return root


@pytest.fixture
def study(tmp_path):
    """A study with one task per entry of `TASKS`."""
    project = Project(tmp_path / "project")
    (project.root / TASK).unlink()
    for name, (init, encoder) in TASKS.items():
        teacher = {"init": init, "adapter": ADAPTERS.get(name)}
        model = {"family": "bart", "teacher": teacher, "student": {"encoder": 1, "decoder": 1}}
        options = {"metrics": ["moverscore"], "metric_options": {"moverscore": {"model": encoder}}}
        project.write(f"config/tasks/{name}.yaml", WEB | {"model": model} | options)
    project.write(MAIN, STUDY | {"tasks": list(TASKS)})
    return project.root


def findings(study, results, address):
    """What the script says, by what it is about."""
    environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(results / "home"), "HF_TOKEN": ""}
    command = [sys.executable, ROOT / "workflow/scripts/preflight.py", "--results", results]
    command += ["--configfile", study / MAIN, "--project", study]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    lines = [line[8:].split(": ", 2) for line in done.stdout.splitlines()]
    assert lines, done.stderr
    return {f"{task}: {what}": text for task, what, text in (line for line in lines if len(line) == 3)}


def test_what_a_run_would_download(models, study, tmp_path):
    with serving(models) as (address, requests):
        said = findings(study, tmp_path, address)
    whole = said["whole: teacher"]
    assert whole.endswith("someone/bart, 0.0 GB on the hub") and said["whole: metrics"].endswith(
        "3.0 GB on the hub): ready"
    )
    (room,) = [text for where, text in said.items() if where.startswith("disk: ") and "the hub's models" in text]
    assert "take about 3.0 GB" in room
    assert said["adapted: teacher"].endswith("on the hub, with someone/lora, 0.0 GB on the hub")
    assert "model.teacher.adapter: " in said["prefixed: teacher"]
    assert 'peft_type: "PREFIX_TUNING" is not read, only LORA' in said["prefixed: teacher"]
    assert "someone/bare: has no tokenizer (tokenizer.json, or merges.txt and vocab.json" in said["bare: teacher"]
    assert "someone/half: has no model.safetensors" in said["half: teacher"]
    assert "someone/half has no model.safetensors, and nothing else is read" in said["half: metrics"]
    for where, key in (("teacher", "set model.teacher.init"), ("metrics", "set metric_options.moverscore.model")):
        assert "gated/bart is not available (it is gated; ask for access" in said[f"gated: {where}"]
        assert "someone/nothing is not available (the hub has none of this name" in said[f"nothing: {where}"]
        assert all(key in said[f"{task}: {where}"] for task in ("gated", "nothing"))
    assert not [line for line in requests if line.startswith("GET") and WEIGHTS in line]


def test_a_model_of_which_the_cache_lacks_a_part_is_not_in_the_cache(tmp_path, monkeypatch):
    index = tmp_path / f"{WEIGHTS}.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}))
    whole = {CONFIG, index.name, "model-1.safetensors", "model-2.safetensors", "vocab.json", "merges.txt"}
    here = set()
    monkeypatch.setattr(reach, "cached", lambda model_id, name: str(tmp_path / name) if name in here else None)
    here |= whole
    assert hub.is_cached("someone/bart", False, TOKENIZERS)
    for name in whole:
        here.remove(name)
        assert not hub.is_cached("someone/bart", False, TOKENIZERS)
        here.add(name)
    here -= {index.name}
    here |= {PICKLE}
    assert [hub.is_cached("someone/bart", allowed, TOKENIZERS) for allowed in (False, True)] == [False, True]


@pytest.mark.parametrize(
    ("weights", "size"),
    [
        ({WEIGHTS: 5, "pytorch_model.bin": 7, "onnx/model.onnx": 9, "tf_model.h5": 9}, 5),
        (
            {f"{WEIGHTS}.index.json": 1, "model-1-of-2.safetensors": 5, "model-2-of-2.safetensors": 6},
            12,
        ),
        ({PICKLE: 7}, 7),
    ],
)
def test_the_size_is_that_of_what_is_fetched(weights, size, monkeypatch):
    monkeypatch.setattr(reach, "hub_file", lambda model_id, name: None)
    files = weights | {CONFIG: 100, "tokenizer.json": 1000, "README.md": 10**6, "onnx/config.json": 10**6}
    assert hub.download("someone/bart", files).size == size + 1100
