"""Published checkpoints in the scripts: fine-tuning, student initialisation, training, generation."""

import importlib.util
import json
import sys

import pytest
import torch
from fdistill.artifacts.files import read_json_lines, write_parquet
from fdistill.data.schemas import SPLIT
from fdistill.losses.objectives import Objective
from fdistill.models.checkpoints import load
from fdistill.runtime.errors import UserError
from fdistill.sampling.offline import generate_texts
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.micro_batches import TrainingData
from fdistill.training.trainer import Trainer
from hub_cases import SCRIPTS, SPLIT_COLUMNS, encoded, raw
from hub_checkpoints import HUB, TRANSLATE
from tiny import settings

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


def run_script(monkeypatch, script, *arguments):
    """Run a script's `main` in this process."""
    spec = importlib.util.spec_from_file_location(f"script_{script}", SCRIPTS / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    module.main()


def finetune(monkeypatch, folder, hub, name, *arguments):
    """Run finetune_teacher for 0 epochs, which keeps the checkpoint as it is; return the folder."""
    write_parquet(folder / "split.parquet", SPLIT_COLUMNS, SPLIT)
    out = folder / "teacher"
    languages = zip(("--source-language", "--target-language"), HUB[name].languages, strict=False)
    options = ["--train", folder / "split.parquet", "--dev", folder / "split.parquet", "--model", out]
    options += ["--history", folder / "history.jsonl", "--init", hub(name), "--seed", "1", "--epochs", "0"]
    options += ["--learning-rate", "1", "--max-source-tokens", "40", "--max-target-tokens", "20"]
    options += [*(part for pair in languages for part in pair), *arguments]
    if "--family" not in arguments:
        options += ["--family", HUB[name].family]
    run_script(monkeypatch, "finetune_teacher", *options)
    return out


def test_a_teacher_used_as_it_is(hub, name, tmp_path, monkeypatch):
    """Every weight keeps its bytes, except the logit bias of a pad token; then two training steps and generation."""
    folder = finetune(monkeypatch, tmp_path, hub, name, "--too-long", "truncate")
    assert read_json_lines(tmp_path / "history.jsonl")[0] == []
    before, after = raw(hub, name).state_dict(), load(folder).model.module.state_dict()
    assert before.keys() == after.keys()
    for key, value in before.items():
        if key == "final_logits_bias":
            pad = load(folder).model.pad_token_id
            value[:, pad] = after[key][:, pad]
        assert torch.equal(value, after[key]), key

    teacher = load(folder)
    layers = dict.fromkeys(teacher.model.family.stacks, 2)
    run_script(
        monkeypatch,
        "init_student",
        "--teacher",
        folder,
        "--layers",
        json.dumps(layers),
        "--model",
        tmp_path / "student",
    )
    student = load(tmp_path / "student")
    train = encoded(student)
    terms = Objective.from_config(
        [{"sequences": "ground_truth", "loss": "kl"}, {"sequences": "student_samples", "loss": "rkl"}]
    )
    training_settings = settings(batch_size=3, learning_rate=1e-3)
    trainer = Trainer(
        student.model, teacher.model, terms, TrainingData(train, {}), training_settings, SamplingConfig(6), 0
    )
    losses = [trainer.step(next(trainer.batches())) for _ in range(2)]
    assert all(torch.isfinite(torch.tensor(losses)))
    columns = generate_texts(
        student.model, student.tokenizer, train.sources, {"max_new_tokens": 6, "num_beams": 2}, 2, seed=0
    )
    assert len(columns["hypothesis"]) == len(train)


def test_a_source_prefix_unknown_to_t5_is_warned_about(hub, tmp_path, monkeypatch, caplog):
    for prefix, warned in ((TRANSLATE, False), ("translate: ", True)):
        caplog.clear()
        finetune(monkeypatch, tmp_path, hub, "t5-base", "--too-long", "truncate", f"--source-prefix={prefix}")
        messages = [record.getMessage() for record in caplog.records]
        assert any("'translate: ', none of those" in message and TRANSLATE in message for message in messages) == warned


@pytest.mark.parametrize(
    ("name", "family"), [("pegasus", "bart"), ("mbart-50", "bart"), ("DialoGPT", "t5"), ("marian", "pegasus")]
)
def test_a_checkpoint_of_another_family_is_refused(hub, name, family, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=rf"is a {HUB[name].family} model, not {family}; set its family"):
        finetune(monkeypatch, tmp_path, hub, name, "--family", family)
