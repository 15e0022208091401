"""Checks before training: lengths, devices and models that do not fit are refused before any work."""

import json
import re

import pytest
import tiny
import torch
import warm
from fdistill.artifacts.files import write_parquet
from fdistill.config.schema import SAFEGUARDS, section
from fdistill.data.encoding import read_split
from fdistill.data.limits import Limits
from fdistill.data.schemas import SPLIT
from fdistill.models.checkpoints import save
from fdistill.runtime.device import name_of, set_up_device
from fdistill.runtime.errors import UserError


@pytest.fixture
def split(tmp_path):
    rows = {name: [str(i) for i in range(10)] for name in ("id", "group")}
    rows |= {"source": ["ab"] * 10, "references": [["ba"]] * 10}
    write_parquet(tmp_path / "split.parquet", rows, SPLIT)
    return tmp_path / "split.parquet"


def test_a_part_of_a_split_is_spread_over_it_and_the_same_for_all_stages(split):
    checkpoint = tiny.checkpoint("bart")
    for _ in range(2):
        assert read_split(split, checkpoint, Limits(9, 9), max_examples=4)[0].ids == ["0", "2", "5", "7"]
    assert len(read_split(split, checkpoint, Limits(9, 9), max_examples=99)[0]) == 10


@pytest.mark.parametrize(("name", "limits"), [("bart", (5000, 9)), ("bart", (9, 5000)), ("gpt2", (9, 5000))])
def test_lengths_beyond_the_models_positions_are_refused(split, name, limits):
    with pytest.raises(UserError, match=r"text: .*max_target_tokens is 50\d\d, but the model has \d+ positions"):
        read_split(split, tiny.checkpoint(name), Limits(*limits, "truncate"))


def test_t5_has_relative_positions(split):
    assert len(read_split(split, tiny.checkpoint("t5"), Limits(5000, 5000))[0]) == 10


def test_symbols_of_all_rows_are_checked_since_another_stage_may_read_more(tmp_path):
    rows = {"id": ["0", "1"], "group": ["0", "1"], "source": ["a", "a"], "references": [["b"], ["ZH"]]}
    write_parquet(tmp_path / "split.parquet", rows, SPLIT)
    with pytest.raises(UserError, match=r"split\.parquet: the tokenizer has no token for the symbol 'ZH'"):
        read_split(tmp_path / "split.parquet", tiny.checkpoint("bart"), Limits(9, 9, symbols=True), max_examples=1)


def test_safeguards_are_keys_of_training():
    assert set(SAFEGUARDS) <= set(section("training")["properties"])


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="device: cuda was asked for, but torch sees no GPU"):
        set_up_device("cuda", 1)


def test_gpus_are_told_apart_by_their_names(monkeypatch):
    """A run that went on on another type would have other bytes."""
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: f"A GPU, {device}")
    assert [name_of(torch.device(name)) for name in ("cpu", "cuda:0")] == ["cpu", "A GPU, cuda:0"]


def test_a_student_of_another_family_is_refused_with_its_own_key(split, tmp_path):
    save(tiny.checkpoint("bart"), tmp_path / "bart")
    command = ["start_student", "--family", "t5", "--init", tmp_path / "bart", "--train", split, "--dev", split]
    command += ["--test", split, "--model", tmp_path / "model", "--max-source-tokens", "9"]
    done = warm.run_script(*command, "--max-target-tokens", "9", "--seed", "1")
    assert done.returncode == 1 and "model.student.family: " in done.stdout and "is a bart model, not t5" in done.stdout


def test_a_teacher_of_another_family_is_refused(split, tmp_path):
    save(tiny.checkpoint("bart"), tmp_path / "bart")
    command = ["finetune_teacher", "--family", "t5", "--init", tmp_path / "bart", "--train", split, "--dev", split]
    command += ["--model", tmp_path / "model", "--history", tmp_path / "train.jsonl", "--max-source-tokens", "9"]
    command += ["--max-target-tokens", "9", "--learning-rate", "0.001", "--epochs", "1", "--seed", "1"]
    done = warm.run_script(*command)
    assert done.returncode == 1 and "is a bart model, not t5" in done.stdout and "Traceback" not in done.stdout
    assert not (tmp_path / "model").exists()


def test_a_tokenizer_that_splits_a_phoneme_of_any_split_is_refused_before_training(tmp_path):
    rows = {name: ["0", "1"] for name in ("id", "group")} | {
        "source": ["a b c d e f g h i j k l m", "n o p q r s t u v w"]
    }
    rows |= {"references": [["HH AA0 AE AH0 AO AW AY"], ["CH DH EH ER EY IH IY JH NG OW OY SH TH UH UW ZH"]]}
    write_parquet(tmp_path / "split.parquet", rows, SPLIT)
    write_parquet(tmp_path / "test.parquet", rows | {"references": [["HH AA0"], ["CH DH AA2"]]}, SPLIT)
    shape = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    shape |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    command = ["finetune_teacher", "--family", "bart", "--init", "scratch", "--model-config", json.dumps(shape)]
    command += ["--train", tmp_path / "split.parquet", "--dev", tmp_path / "split.parquet", "--symbols=true"]
    command += ["--max-source-tokens", "20", "--max-target-tokens", "20", "--learning-rate", "0.001", "--epochs", "1"]
    command += ["--seed", "1", "--model", tmp_path / "model", "--history", tmp_path / "train.jsonl"]

    done = warm.run_script(*command, "--vocab-size", "300")
    assert done.returncode == 1 and "Traceback" not in done.stdout and "development" not in done.stdout
    assert re.search(
        r"split\.parquet: the tokenizer has no token for the symbol '([A-Z0]+)': '.*\1' becomes", done.stdout
    )
    assert not (tmp_path / "model").exists()
    done = warm.run_script(*command, "--vocab-size", "400", "--test", tmp_path / "test.parquet")
    assert done.returncode == 1 and "test.parquet: the tokenizer has no token for the symbol 'AA2'" in done.stdout
    assert "development" not in done.stdout and not (tmp_path / "model").exists()
    command += ["--vocab-size", "400", "--test", tmp_path / "split.parquet"]
    assert warm.run_script(*command).returncode == 0 and (tmp_path / "model").is_dir()


def test_a_training_that_does_not_help_is_said_to(split, tmp_path):
    """The trained weights are kept, although they are no better than those before the first step."""
    save(tiny.checkpoint("bart"), tmp_path / "bart")
    command = ["finetune_teacher", "--family", "bart", "--init", tmp_path / "bart", "--train", split, "--dev", split]
    command += ["--max-source-tokens", "9", "--max-target-tokens", "9", "--epochs", "2", "--seed", "1"]
    for rate, helps in (("0.01", True), ("1e-30", False)):
        written = ["--model", tmp_path / rate, "--history", tmp_path / f"{rate}.jsonl"]
        done = warm.run_script(*command, "--learning-rate", rate, *written)
        start = json.loads((tmp_path / f"{rate}.jsonl").read_text().splitlines()[0])["dev"]["nll"]
        text = f"training did not help: before its first step the development nll was {start:.4f}"
        assert done.returncode == 0 and (text in done.stdout) == (not helps)
