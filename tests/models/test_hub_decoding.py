"""Published checkpoints are decoded by the task's settings alone, with and without left padding."""

import logging

import pytest
import torch
import transformers
from fdistill.data.batches import source_batch
from fdistill.models.checkpoints import load, save
from hub_cases import encoded, fresh, raw, raw_logits, read, teacher_of
from hub_checkpoints import HUB, TRANSLATE

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


def test_decoding_is_the_tasks_alone(hub, name):
    """Greedy search is the argmax of transformers' logits, step by step, whatever the settings of the checkpoint."""
    checkpoint, module = teacher_of(hub, name), raw(hub, name)
    sources = encoded(checkpoint).sources
    outputs = checkpoint.model.generate(source_batch(checkpoint.model, sources), max_new_tokens=12, do_sample=False)
    for source, output in zip(sources, outputs.tolist(), strict=True):
        expected = []
        while len(expected) < 12 and checkpoint.model.eos_token_id not in expected:
            last = raw_logits(module, checkpoint, source, [*expected, 0])[-1]
            expected.append(int(last.argmax()))
        assert output[: len(expected)] == expected


def test_beam_search_equals_that_of_transformers_with_the_tasks_settings(hub, name):
    """Each row of a padded batch equals transformers' beam search on that row alone, with the task's settings only."""
    checkpoint, module = teacher_of(hub, name), raw(hub, name)
    config = module.config
    clean = transformers.GenerationConfig(
        max_new_tokens=8,
        num_beams=3,
        length_penalty=2.0,
        eos_token_id=checkpoint.model.eos_token_id,
        pad_token_id=checkpoint.model.pad_token_id,
        decoder_start_token_id=checkpoint.model.decoder_start_token_id,
        bad_words_ids=[[checkpoint.model.pad_token_id]] if checkpoint.model.family.pad_is_never_predicted else None,
    )
    if spare := list(range(len(checkpoint.tokenizer), config.vocab_size)):
        clean.update(suppress_tokens=spare, renormalize_logits=True)
    module.generation_config = transformers.GenerationConfig()
    sources = encoded(checkpoint).sources
    outputs = checkpoint.model.generate(
        source_batch(checkpoint.model, sources), max_new_tokens=8, num_beams=3, length_penalty=2.0
    )
    for source, output in zip(sources, outputs.tolist(), strict=True):
        inputs = {"input_ids": torch.tensor([source]), "attention_mask": torch.ones(1, len(source), dtype=torch.long)}
        if config.is_encoder_decoder:
            inputs["decoder_input_ids"] = torch.tensor([checkpoint.model.decoder_prompt])
        before = len(checkpoint.model.decoder_prompt) or len(source)
        expected = module.generate(**inputs, generation_config=clean)[0, before:].tolist()
        assert output[: len(expected)] == expected


def test_ignored_generation_settings_are_logged_once(hub, name, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="fdistill")
    checkpoint = fresh(hub, name)
    messages = [
        record.getMessage()
        for record in caplog.records
        if "settings of the checkpoint are ignored" in record.getMessage()
    ]
    assert len(messages) == (name != "t5-v1_1") and all(str(hub(name)) in message for message in messages)
    expected = HUB[name].generation or {key: v for key, v in HUB[name].legacy.items() if key == "num_beams"}
    for key, value in expected.items():
        assert f"{key} {value}" in messages[0] or key == "bad_words_ids"
    for task in HUB[name].legacy.get("task_specific_params", {}):
        assert task in messages[0]
    caplog.clear()
    save(checkpoint, tmp_path / "again")
    load(tmp_path / "again")
    # A checkpoint saved by this library has no settings to ignore.
    assert not [record for record in caplog.records if record.name.startswith("fdistill")]
    saved_keys = {key for file in ("config", "generation_config") for key in read(tmp_path / f"again/{file}.json")}
    assert not saved_keys & {
        "num_beams",
        "max_length",
        "min_length",
        "bad_words_ids",
        "forced_bos_token_id",
        "early_stopping",
    }


def test_the_prefixes_of_t5(hub):
    assert teacher_of(hub, "t5-base").source_prefixes == ("summarize: ", TRANSLATE)
    assert teacher_of(hub, "bart-large-xsum").source_prefixes == ()


@pytest.mark.parametrize("decoding", [{"num_beams": 1}, {"num_beams": 4}, {"num_beams": 3, "min_new_tokens": 6}])
def test_left_padding_changes_no_output(hub, decoding):
    """Learned positions count the tokens of a row, not its padding."""
    checkpoint = teacher_of(hub, "DialoGPT")
    sources = encoded(checkpoint).sources
    assert len({len(source) for source in sources}) == 3

    def generate(rows):
        return checkpoint.model.generate(source_batch(checkpoint.model, rows), max_new_tokens=8, **decoding).tolist()

    for source, row in zip(sources, generate(sources), strict=True):
        (alone,) = generate([source])
        assert row[: len(alone)] == alone
