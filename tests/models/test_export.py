"""Exported models, used with plain transformers: the outputs are those of the library, token for token."""

import json
import re

import hub_checkpoints
import pytest
import tiny
import torch
import transformers
from fdistill.artifacts.manifest import check_files
from fdistill.data.batches import source_batch
from fdistill.data.encoding import Limits, encode_split
from fdistill.evaluation.model_card import model_card
from fdistill.models import checkpoints
from fdistill.models.decoding import effective
from fdistill.models.export import export, read_usage
from fdistill.models.tokenization import tokenizer_identity
from fdistill.runtime.errors import UserError
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

TEXT = {"source_prefix": "say: ", "max_source_tokens": 12, "max_target_tokens": 9}
BEAMS = {
    "max_new_tokens": 9,
    "min_new_tokens": 2,
    "num_beams": 3,
    "length_penalty": 0.6,
    "early_stopping": True,
    "no_repeat_ngram_size": 2,
    "do_sample": False,
    "top_k": 0,
    "top_p": 1.0,
}
SOURCES = ["the quick brown fox", "what a day it is my friend, the quick brown fox jumps", "my {dog}"]
MANIFEST = {
    "terms": [{"loss": "kl", "sequences": "teacher_samples", "weight": 0.5}],
    "versions": {"transformers": "5"},
    "init": "scratch",
}
DATA = {
    "archives": [{"package": "p|q", "version": "1", "licence": "MIT", "sha256": "ab"}],
    "splits": {"train": 1000},
    "sha256": {"train": "cd"},
}
SCORES = {
    "n_inputs": 1200,
    "metrics": {
        "bleu4": {"title": "BLEU-4", "value": 12.345, "signature": "a|b"},
        "meteor": {"title": "METEOR", "value": None, "signature": "c"},
    },
}


def exported(tmp_path, name, decoding=BEAMS):
    """The folder of an exported checkpoint of the hub, and the checkpoint as the library loads it."""
    languages = hub_checkpoints.HUB[name].languages or (None, None)
    made = checkpoints.load(hub_checkpoints.write(tmp_path / "hub", name), "cpu", *languages)
    checkpoints.save(made, tmp_path / "model", MANIFEST)
    manifest = json.loads((tmp_path / "model/manifest.json").read_text())

    def card(prompt):
        return model_card(tmp_path / "model", "t", "kl", 1, MANIFEST, manifest, DATA, SCORES, TEXT, prompt)

    export(tmp_path / "model", tmp_path / "export", TEXT, decoding, card)
    return tmp_path / "export", checkpoints.load(tmp_path / "model")


def plain(folder):
    auto = AutoModelForCausalLM if is_causal(folder) else AutoModelForSeq2SeqLM
    return AutoTokenizer.from_pretrained(folder), auto.from_pretrained(folder)


def is_causal(folder):
    return json.loads((folder / "config.json").read_text())["model_type"] == "gpt2"


@pytest.mark.parametrize("name", hub_checkpoints.HUB)
def test_plain_transformers_generate_the_same_tokens(name, tmp_path):
    folder, made = exported(tmp_path, name)
    split = {"id": SOURCES, "source": SOURCES, "references": [["a"]] * 3}
    limits = Limits(12, 9, "truncate", "say: ")
    rows = encode_split(split, made.tokenizer, limits, "sources").sources
    expected = made.model.generate(source_batch(made.model, rows), **BEAMS)

    tokenizer, model = plain(folder)
    prefix = json.loads((folder / "fdistill.json").read_text())["source_prefix"]
    texts = [prefix + source for source in SOURCES]
    inputs = tokenizer(texts, truncation=True, padding=True, return_tensors="pt")
    assert set(inputs) == {"input_ids", "attention_mask"}
    names = json.loads((folder / "tokenizer_config.json").read_text())["model_input_names"]
    assert names == ["input_ids", "attention_mask"]  # which transformers 4 goes by
    assert [
        row[mask.bool()].tolist() for row, mask in zip(inputs.input_ids, inputs.attention_mask, strict=True)
    ] == rows
    prompt = {}
    if len(made.model.decoder_prompt) > 1:  # mBART-50, as its card says
        prompt = {"decoder_input_ids": torch.tensor([made.model.decoder_prompt] * 3)}
    output = model.generate(**inputs, **prompt)
    begin = inputs.input_ids.shape[1] if is_causal(folder) else len(made.model.decoder_prompt)
    assert output[:, begin:].tolist() == expected.tolist()


def test_sampling_keeps_to_its_settings(tmp_path):
    folder, _ = exported(tmp_path, "bart-large", {"max_new_tokens": 5, "do_sample": True, "top_p": 0.9})
    settings = json.loads((folder / "generation_config.json").read_text())
    assert (settings["do_sample"], settings["top_k"], settings["top_p"]) == (True, 0, 0.9)


@pytest.mark.parametrize("name", ["bart-large", "DialoGPT", "mbart-50"])
def test_the_card_has_what_is_on_record_and_code_that_runs(name, tmp_path, capsys):
    folder, _ = exported(tmp_path, name)
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\npipeline_tag: ")
    assert 'tags: ["knowledge-distillation", "f-distill", "kl"]' in card
    assert "0.5 × kl on teacher samples" in card and "| BLEU-4 | 12.35 | `a\\|b` |" in card
    assert "| METEOR | n/a | `c` |" in card and "p\\|q 1, licence: MIT, SHA-256 `ab`" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    exec(code.replace('"."', repr(str(folder))).replace('"..."', repr(SOURCES[0])), {})
    assert capsys.readouterr().out.strip()


def test_every_file_is_in_the_manifest(tmp_path):
    folder, _ = exported(tmp_path, "bart-large")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert files.keys() == {path.name for path in folder.iterdir()} - {"manifest.json"}
    check_files(folder)
    (folder / "fdistill.json").write_text("{}")
    with pytest.raises(UserError, match="is damaged"):
        check_files(folder)


def test_the_usage_is_read_back(tmp_path):
    folder, _ = exported(tmp_path, "bart-large")
    usage = read_usage(folder)
    assert usage.text == TEXT and usage.generation["num_beams"] == 3
    with pytest.raises(
        UserError, match=r"has no fdistill\.json.* snakemake -c1 \[--configfile FILE --\] .*/export, with"
    ):
        read_usage(tmp_path / "model")
    with pytest.raises(UserError, match="give a folder that rule export wrote"):
        read_usage(tmp_path / "hub")
    folder = folder.rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"no such folder; export the model: snakemake -c1 .*/export, with the file"):
        read_usage(tmp_path / "export")
    with pytest.raises(UserError, match="no such folder; give a folder that rule export wrote"):
        read_usage(tmp_path / "nowhere")
    (folder / "fdistill.json").write_text(json.dumps(TEXT | {"format": 2}))
    with pytest.raises(UserError, match="has format 2, but this version reads 1"):
        read_usage(folder)


def test_a_model_from_elsewhere_is_not_exported(tmp_path):
    with pytest.raises(UserError, match="was not written by this workflow"):
        export(hub_checkpoints.write(tmp_path / "hub", "bart-large"), tmp_path / "export", TEXT, BEAMS, str)


@pytest.mark.parametrize(("family", "side"), [("gpt2", "left"), ("bart", "right"), ("t5", "right")])
def test_a_saved_tokenizer_has_the_names_and_sides_that_both_versions_read(family, side, tmp_path):
    checkpoints.save(tiny.checkpoint(family), tmp_path / "model")
    settings = json.loads((tmp_path / "model/tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"  # transformers 4 has no TokenizersBackend
    assert settings["padding_side"] == settings["truncation_side"] == side
    assert not settings.keys() & {"is_local", "local_files_only", "extra_special_tokens"}
    assert AutoTokenizer.from_pretrained(tmp_path / "model").padding_side == side


def test_additional_tokens_have_the_name_that_both_versions_read(tmp_path):
    folder, made = exported(tmp_path, "t5-base")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert "<extra_id_0>" in settings["additional_special_tokens"] and "extra_special_tokens" not in settings
    again = AutoTokenizer.from_pretrained(folder)
    assert tokenizer_identity(again) == tokenizer_identity(made.tokenizer)


def test_settings_without_an_effect_are_left_out():
    assert effective({"num_beams": 1, "length_penalty": 2.0, "early_stopping": True, "top_k": 0}) == {"num_beams": 1}
    assert effective({"do_sample": True, "top_p": 0.5}) == {"do_sample": True, "top_k": 0, "top_p": 0.5}
    assert effective(BEAMS).keys() == BEAMS.keys() - {"top_k", "top_p"}


def test_generation_says_nothing_in_the_log(caplog):
    made = tiny.checkpoint("bart")
    source = source_batch(made.model, [[4, 5, 2]])
    with caplog.at_level("DEBUG"):
        transformers.utils.logging.set_verbosity_warning()
        try:
            made.model.generate(source, **BEAMS)
            made.model.generate(source, **BEAMS | {"num_beams": 1})
        finally:
            transformers.utils.logging.set_verbosity_error()
    assert "generation flags" not in caplog.text


@pytest.mark.parametrize(("separator", "splits"), [(None, True), ("<|endoftext|>", False)])
def test_special_tokens_in_a_source_are_text_unless_they_separate_turns(separator, splits, tmp_path):
    made = tiny.checkpoint("bart")
    checkpoints.save(made, tmp_path / "model", MANIFEST)
    export(tmp_path / "model", tmp_path / "export", TEXT | {"turn_separator": separator}, BEAMS, str)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "export")
    assert (tokenizer("a </s> b").input_ids == tokenizer("a </s> b", split_special_tokens=True).input_ids) == splits
