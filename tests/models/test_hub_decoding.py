"""Published checkpoints: their generation settings change neither samples nor decoding."""

import logging

import pytest
import torch
import transformers
from fdistill.data.batches import source_batch
from fdistill.losses.objectives import IGNORE
from fdistill.models.checkpoints import load, save
from fdistill.sampling import sampler
from fdistill.sampling.sampler import ancestral_sample, sequence_log_probs
from hub_cases import encoded, fresh, raw, raw_logits, read, teacher_of
from hub_checkpoints import HUB, TRANSLATE

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


# --- generation settings of the checkpoint


def test_samples_come_from_the_models_own_distribution(hub, name, monkeypatch):
    """At every step tokens are sampled from the softmax of transformers' logits: nothing forced, banned or cut."""
    checkpoint, module = teacher_of(hub, name), raw(hub, name)
    sources = encoded(checkpoint).sources
    distributions = []
    inverse_cdf = sampler._inverse_cdf

    def watched(logits, chance):
        distributions.append(logits.softmax(-1))
        return inverse_cdf(logits, chance)

    monkeypatch.setattr(sampler, "_inverse_cdf", watched)
    for row, source in enumerate(sources):
        distributions.clear()
        samples = ancestral_sample(checkpoint.model, source_batch(checkpoint.model, [source]), 8, [0], [row])
        tokens = samples.labels[0].tolist()
        expected = raw_logits(module, checkpoint, source, tokens).softmax(-1)
        torch.testing.assert_close(torch.cat(distributions), expected, rtol=1e-4, atol=1e-5)
        log_prob = expected.gather(1, torch.tensor(tokens).unsqueeze(1)).log().sum().item()
        stored = sequence_log_probs(checkpoint.model, source_batch(checkpoint.model, [source]), samples.labels)
        assert stored.sum().item() == pytest.approx(log_prob, abs=1e-3)


def test_decoding_is_the_tasks_alone(hub, name):
    """Greedy search is the argmax of transformers' logits, step by step, and no settings of the checkpoint's."""
    checkpoint, module = teacher_of(hub, name), raw(hub, name)
    sources = encoded(checkpoint).sources
    outputs = checkpoint.model.generate(source_batch(checkpoint.model, sources), max_new_tokens=12, do_sample=False)
    for source, output in zip(sources, outputs.tolist(), strict=True):
        expected = []
        while len(expected) < 12 and checkpoint.model.eos_token_id not in expected:
            last = raw_logits(module, checkpoint, source, [*expected, 0])[-1]
            expected.append(int(last.argmax()))
        assert output[: len(expected)] == expected


def test_beam_search_is_transformers_own_with_the_tasks_settings(hub, name):
    """Rows of a padded batch as each of them alone, by the untouched module under a clean configuration."""
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
    module.generation_config = transformers.GenerationConfig()
    sources = encoded(checkpoint).sources
    ours = checkpoint.model.generate(
        source_batch(checkpoint.model, sources), max_new_tokens=8, num_beams=3, length_penalty=2.0
    )
    for source, output in zip(sources, ours.tolist(), strict=True):
        inputs = {"input_ids": torch.tensor([source]), "attention_mask": torch.ones(1, len(source), dtype=torch.long)}
        if config.is_encoder_decoder:
            inputs["decoder_input_ids"] = torch.tensor([checkpoint.model.decoder_prompt])
        before = len(checkpoint.model.decoder_prompt) or len(source)
        theirs = module.generate(**inputs, generation_config=clean)[0, before:].tolist()
        assert output[: len(theirs)] == theirs


def test_what_is_not_used_is_said_once(hub, name, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="fdistill")
    checkpoint = fresh(hub, name)
    said = [
        record.getMessage()
        for record in caplog.records
        if "settings of the checkpoint are ignored" in record.getMessage()
    ]
    assert len(said) == (name != "t5-v1_1") and all(str(hub(name)) in line for line in said)
    expected = HUB[name].generation or {key: v for key, v in HUB[name].legacy.items() if key == "num_beams"}
    for key, value in expected.items():
        assert f"{key} {value}" in said[0] or key == "bad_words_ids"
    for task in HUB[name].legacy.get("task_specific_params", {}):
        assert task in said[0]
    caplog.clear()
    save(checkpoint, tmp_path / "again")
    load(tmp_path / "again")
    assert not [
        record for record in caplog.records if record.name.startswith("fdistill")
    ]  # what we save has nothing left to say
    kept = {key for file in ("config", "generation_config") for key in read(tmp_path / f"again/{file}.json")}
    assert not kept & {
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


# --- left padding


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


def test_left_padding_changes_no_sample(hub, monkeypatch):
    """Tokens are sampled from the distributions of each row alone, at every step; wrong positions would show."""
    checkpoint = teacher_of(hub, "DialoGPT")
    sources = encoded(checkpoint).sources
    source = source_batch(checkpoint.model, sources)
    seen, going = [[] for _ in sources], [range(len(sources))]
    start, step, keep = checkpoint.model.start, checkpoint.model.step, checkpoint.model.select_rows

    def watched(logits):
        for row, of_row in zip(going[-1], logits, strict=True):
            seen[row].append(of_row)
        return logits

    def started(context):
        logits, state = start(context)
        return watched(logits), state

    def kept(rows, state):
        going.append([going[-1][row] for row in rows.tolist()])
        keep(rows, state)

    monkeypatch.setattr(checkpoint.model, "start", started)
    monkeypatch.setattr(checkpoint.model, "step", lambda *args: watched(step(*args)))
    monkeypatch.setattr(checkpoint.model, "select_rows", kept)
    samples = ancestral_sample(checkpoint.model, source, 6, [0]).labels
    for row, one in enumerate(sources):
        tokens = [token for token in samples[row].tolist() if token != IGNORE]
        expected = raw_logits(checkpoint.model.module, checkpoint, one, tokens)
        got = torch.stack(seen[row])
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        shifted = checkpoint.model.module(source.input_ids, attention_mask=source.attention_mask).logits[1, -1]
    assert (shifted - seen[1][0]).abs().max() > 0.1
