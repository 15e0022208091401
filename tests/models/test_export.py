"""Exported models, used with plain transformers: the outputs are those of the library, token for token."""

import json
import re
from dataclasses import replace
from functools import partial

import ctranslate2
import hub_checkpoints
import pytest
import tiny
import torch
import transformers
from fdistill.artifacts.manifest import check_files
from fdistill.data.batches import source_batch
from fdistill.data.encoding import encode_split
from fdistill.data.limits import Limits
from fdistill.data.prompts import encode_prompts
from fdistill.evaluation.model_card import Facts, model_card
from fdistill.models import checkpoints
from fdistill.models.decoding import effective
from fdistill.models.export import export, read_usage
from fdistill.models.tokenization import piece_ids, tokenizer_identity
from fdistill.runtime.errors import UserError
from fdistill.sampling.ctranslate2_conversion import INT8
from fdistill.sampling.ctranslate2_engine import CTranslate2
from fdistill.sampling.ctranslate2_export import FOLDER, Conversion, convert, token_names
from fdistill.sampling.sampler import SamplingConfig
from huggingface_hub import ModelCard
from model_cases import CONVERTIBLE, convertible
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

TEXT = {"source_prefix": "say: ", "source_suffix": "", "max_source_tokens": 12, "max_target_tokens": 9}
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
    "versions": {"transformers": "5", "torch": "2"},
    "training": {"learning_rate": 0.001},
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


RECORD = {
    "code": {"commit": "c0ffee", "dirty": True},
    "hardware": {"cpu": "a CPU", "gpus": []},
    "ended": "2026-01-01T00:00:00+00:00",
}


def facts(family, teacher, conversion, **changes):
    given = {
        "task": "t",
        "system": "kl",
        "seed": 1,
        "family": family,
        "manifest": MANIFEST,
        "teacher": teacher,
        "data": DATA,
        "depths": {"encoder": 12, "decoder": 12},
        "scores": SCORES,
        "intervals": {"bleu4": [11.5, 13.25]},
        "record": RECORD,
        "text": TEXT,
        "conversion": conversion,
    }
    return Facts(**given | changes)


def exported(tmp_path, name, decoding=BEAMS):
    """The folder of an exported checkpoint of the hub, and the checkpoint as the library loads it."""
    languages = hub_checkpoints.HUB[name].languages or (None, None)
    made = checkpoints.load(hub_checkpoints.write(tmp_path / "hub", name), "cpu", *languages)
    checkpoints.save(made, tmp_path / "model", MANIFEST)
    manifest = json.loads((tmp_path / "model/manifest.json").read_text())

    conversion = convert(made, decoding)
    card = partial(model_card, facts(made.model.module.config.model_type, manifest, conversion))
    files = {f"{FOLDER}/{file}": content for file, content in conversion.files.items()}
    export(tmp_path / "model", tmp_path / "export", TEXT, decoding, card, files)
    return tmp_path / "export", checkpoints.load(tmp_path / "model")


def plain(folder):
    auto = AutoModelForCausalLM if is_causal(folder) else AutoModelForSeq2SeqLM
    return AutoTokenizer.from_pretrained(folder), auto.from_pretrained(folder)


def is_causal(folder):
    return json.loads((folder / "config.json").read_text())["model_type"] == "gpt2"


@pytest.mark.parametrize("name", hub_checkpoints.HUB)
def test_plain_transformers_generate_the_same_tokens(name, tmp_path):
    """A checkpoint with rows that are no tokens is searched greedily: random ones have probability."""
    decoding = BEAMS | ({"num_beams": 1, "early_stopping": False} if hub_checkpoints.HUB[name].spare_rows else {})
    folder, made = exported(tmp_path, name, decoding)
    split = {"id": SOURCES, "source": SOURCES, "references": [["a"]] * 3}
    limits = Limits(12, 9, "truncate", "say: ", "")
    rows = encode_split(split, made.tokenizer, limits, "sources").sources
    expected = made.model.generate(source_batch(made.model, rows), **decoding)

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


CHAT = {"source_suffix": "", "chat_template": True, "max_source_tokens": 90}


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ({"source_suffix": "\n=>"}, SOURCES[0]),
        (CHAT | {"system_message": "be brief"}, SOURCES[0]),
        (CHAT | {"turn_separator": "|"}, "the fox|a day|my friend"),
        (CHAT | {"turn_separator": "|", "source_suffix": "?", "system_message": "be brief"}, "the fox|a day| "),
    ],
)
def test_the_cards_code_builds_the_prompt_of_training(text, source, tmp_path):
    made = checkpoints.load(hub_checkpoints.write(tmp_path / "hub", "DialoGPT"), "cpu")
    made.tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}\n{{ m['content'] }}<|endoftext|>{% endfor %}"
        "{% if add_generation_prompt %}assistant\n{% endif %}"
    )
    checkpoints.save(made, tmp_path / "model", MANIFEST)
    text = TEXT | text
    closing = piece_ids(made.tokenizer, text["source_suffix"], follows=True)
    conversion = convert(made, BEAMS)
    given = facts("gpt2", MANIFEST | {"files": {"model.safetensors": "0"}}, conversion)
    card = partial(model_card, replace(given, text=text | {"closing": closing}))
    files = {f"{FOLDER}/{name}": content for name, content in conversion.files.items()}
    export(tmp_path / "model", tmp_path / "export", text, BEAMS, card, files)
    usage = read_usage(tmp_path / "export")
    (prompt,) = encode_prompts([source], made.tokenizer, Limits(**usage.text))
    expected = made.model.generate(source_batch(made.model, [prompt.tokens]), **BEAMS)

    codes = re.findall(r"```python\n(.*?)```", (tmp_path / "export/README.md").read_text(), re.DOTALL)
    by_transformers, by_ctranslate2 = {}, {}
    for code, place in zip(codes, (by_transformers, by_ctranslate2), strict=True):
        exec(code.replace('"."', repr(str(tmp_path / "export"))).replace('"..."', repr(source)), place)
        assert place["tokens"] == prompt.tokens
    assert by_transformers["inputs"]["input_ids"].tolist() == [prompt.tokens]
    assert by_transformers["output"].tolist() == expected[0].tolist()


def test_an_export_of_an_earlier_version_has_no_suffix(tmp_path):
    folder, _ = exported(tmp_path, "DialoGPT")
    text = json.loads((folder / "fdistill.json").read_text())
    del text["source_suffix"]
    (folder / "fdistill.json").write_text(json.dumps(text))
    assert read_usage(folder).text["source_suffix"] == ""


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
    assert "0.5 × kl on teacher samples" in card and "| BLEU-4 | 12.35 | 11.50 to 13.25 | `a\\|b` |" in card
    assert "| METEOR | n/a | n/a | `c` |" in card and "p\\|q 1, licence: MIT, SHA-256 `ab`" in card
    assert "| Code | commit `c0ffee`, with changes that are not committed |" in card
    assert "| `learning_rate` | 0.001 |" in card and "transformers 5, torch 2" in card
    codes = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    outputs = []
    for code in codes:
        exec(code.replace('"."', repr(str(folder))).replace('"..."', repr(SOURCES[0])), {})
        outputs.append(capsys.readouterr().out.strip())
    assert len(codes) == 2 and all(outputs)
    # The card's decoding has beams, which count mBART's language code in CTranslate2.
    assert ("its beam search differs after a decoder prompt" in card) == (name == "mbart-50")


@pytest.mark.parametrize("name", hub_checkpoints.HUB)
def test_the_hub_accepts_the_card(name, tmp_path):
    card = ModelCard.load(exported(tmp_path, name)[0] / "README.md")
    assert card.data.library_name == "transformers" and card.data.tags[-1] == "kl"
    assert card.data.base_model is None  # the checkpoint is a folder
    on_hub = facts(
        "bart", {"init": "facebook/bart-large", "files": {"model.safetensors": "0"}}, Conversion(missing="x")
    )
    card = model_card(on_hub, [])
    assert ModelCard(card).data.base_model == "facebook/bart-large" and "n/a: x." in card


def test_a_licence_that_is_not_known_is_said_to_be_unknown(tmp_path):
    teacher = {"init": "scratch", "files": {"model.safetensors": "0"}}
    data = DATA | {"archives": [{"package": "p", "version": "1"}]}
    card = model_card(facts("bart", teacher, Conversion(missing="x"), data=data, record=None), [])
    assert "licence: unknown: look for the terms of its publisher" in card and "| Code | not on record |" in card


def test_what_a_model_has_from_others_is_named():
    given = [
        {"what": "labels", "name": "labels.jsonl", "sha256": "ef"},
        {"what": "layers", "name": "google/pegasus-xsum", "sha256": "01"},
    ]
    teacher = {"init": "facebook/bart-large-xsum", "files": {"model.safetensors": "0"}}
    card = model_card(facts("bart", teacher, Conversion(missing="x"), manifest=MANIFEST | {"contributions": given}), [])
    unknown = "licence: unknown: look for the terms of its publisher"
    assert f"| Labels of another teacher | `labels.jsonl`, SHA-256 `ef`, {unknown}" in card
    assert f"| Layers of another model | `google/pegasus-xsum`, SHA-256 `01`, {unknown}" in card
    assert f"| Teacher | from `facebook/bart-large-xsum`, weights SHA-256 `0`, {unknown}" in card


@pytest.mark.parametrize(
    ("decoder", "text"),
    [
        (3, "3, copied from 0, 6, 11 of the 12 of the teacher |"),
        ([1, None], "2, copied from 1, random of the 12 of the teacher |"),
        ({"layers": 2, "choose": "random"}, "2, with random weights |"),
        (
            {"layers": 2, "choose": "high", "from": "xsum"},
            "2, copied from 10, 11 of the 12 of the teacher of task xsum |",
        ),
    ],
)
def test_the_layers_that_a_student_copied_are_named(decoder, text):
    teacher = {"init": "scratch", "files": {"model.safetensors": "0"}}
    manifest = MANIFEST | {"layers": {"encoder": [0, 11], "decoder": decoder}}
    card = model_card(facts("bart", teacher, Conversion(missing="x"), manifest=manifest), [])
    encoder = "| Layers, counted from 0 | encoder: 2, copied from 0, 11 of the 12 of the teacher; decoder: "
    assert encoder + text in card
    assert "Layers" not in model_card(facts("bart", teacher, Conversion(missing="x")), [])  # not on record


def test_the_card_says_which_steps_learn_from_what():
    """A schedule and a mean over examples; nothing is said of the plain mean of all terms."""
    schedule = {"student_share": 0.5, "draw": "alternating", "course": "constant", "end_share": None}
    teacher = {"init": "scratch", "files": {"model.safetensors": "0"}}
    cards = [
        model_card(facts("bart", teacher, Conversion(missing="x"), manifest=MANIFEST | {"objective": objective}), [])
        for objective in (
            {"reduction": "examples", "schedule": schedule, "replay_size": 1000},
            {"reduction": "tokens", "schedule": None, "replay_size": 1000},
        )
    ]
    assert "| Schedule | student_share 0.5, draw alternating, course constant |" in cards[0]
    assert "| Average over | examples |" in cards[0]
    assert "Schedule" not in cards[1] and "Average over" not in cards[1]


def test_what_a_model_learned_from_besides_the_training_split_is_named():
    def card(**found):
        return model_card(facts("bart", teacher, Conversion(missing="x"), data=data, manifest=MANIFEST | found), [])

    teacher = {"init": "scratch", "files": {"model.safetensors": "0"}}
    data = {"archives": [], "splits": {"train": 7, "unlabelled": 2800}, "sha256": {"train": "a"}}
    stream = {"include_original": True, "per_input": 1}
    found = card(inputs={"unlabelled": "b0b0"}, stream=stream)
    assert "| Unlabelled inputs | 2,800 examples, SHA-256 `b0b0` |" in found
    assert "| Original pairs | once in every epoch" in found
    assert "| Stored sequences per input | the first 1 |" in found
    assert "Unlabelled" not in card() and "Original" not in card()


@pytest.mark.parametrize("family", CONVERTIBLE)
def test_the_converted_model_outputs_what_the_engine_outputs(family, tmp_path):
    """Greedy decoding by int8 weights: those of the folder, whose vocabulary are tokens, and those of the engine."""
    made = convertible(family)
    before = {name: value.clone() for name, value in made.model.module.state_dict().items()}
    decoding = {"max_new_tokens": 5, "num_beams": 1}
    conversion = convert(made, decoding)
    assert all(torch.equal(value, before[name]) for name, value in made.model.module.state_dict().items())
    for name, content in conversion.files.items():
        (tmp_path / name).write_bytes(content)
    sources = tiny.random_pairs(made, 5)[0]
    sampling = SamplingConfig(5, "beam", {"num_beams": 1})
    labels = CTranslate2(made.model, INT8).sample_batch(source_batch(made.model, sources), sampling, (0,), range(5))
    expected = [[token for token in row if token >= 0] for row in labels.labels.tolist()]
    is_causal = not made.model.family.is_encoder_decoder
    model = (ctranslate2.Generator if is_causal else ctranslate2.Translator)(str(tmp_path))
    words = [made.tokenizer.convert_ids_to_tokens(source) for source in sources]
    call = partial(model.generate_batch, include_prompt_in_result=False) if is_causal else model.translate_batch
    found = [call([row], **conversion.options)[0] for row in words]
    tokens = [(result.sequences if is_causal else result.hypotheses)[0] for result in found]
    assert [made.tokenizer.convert_tokens_to_ids(row) for row in tokens] == expected


def test_tokens_of_a_vocabulary_differ(tmp_path):
    made = tiny.checkpoint("bart")
    size = len(made.tokenizer)
    names = token_names(made.tokenizer, size + 2)
    assert names[size:] == [f"<unused {size}>", f"<unused {size + 1}>"] and len(set(names)) == size + 2


def test_what_ctranslate2_cannot_run_has_a_reason(monkeypatch):
    made = tiny.checkpoint("bart")
    made.model.module.config.activation_function = "quick"
    conversion = convert(made, BEAMS)
    assert not conversion.files and "cannot run this model" in conversion.missing


def test_other_searches_are_named():
    conversion = convert(tiny.checkpoint("bart"), BEAMS | {"early_stopping": False, "no_repeat_ngram_size": 0})
    assert any("as many finished hypotheses as beams" in reason for reason in conversion.differs)
    assert conversion.options["beam_size"] == 3 and conversion.options["max_decoding_length"] == 9
    assert conversion.options["min_decoding_length"] == 1


def test_every_file_is_in_the_manifest(tmp_path):
    folder, _ = exported(tmp_path, "bart-large")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files.keys() == written - {"manifest.json"} and f"{FOLDER}/model.bin" in files
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
