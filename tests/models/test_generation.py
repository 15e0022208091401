"""Generation settings of a checkpoint are ignored: the task alone decides how to decode."""

import json

import pytest
import tiny
import torch
import transformers
from fdistill.data.batches import source_batch
from fdistill.losses.inputs import IGNORE
from fdistill.models.checkpoints import load, save
from fdistill.sampling.sampler import ancestral_sample, as_labels

POISON = {
    "no_repeat_ngram_size": 2,
    "min_length": 5,
    "num_beams": 3,
    "length_penalty": 5.0,
    "early_stopping": True,
    "do_sample": True,
    "temperature": 0.2,
    "top_k": 5,
    "top_p": 0.9,
    "repetition_penalty": 3.0,
}


@pytest.fixture
def poisoned(checkpoint, tmp_path):
    """The same weights beside generation settings, old and new style, that change everything they touch."""
    save(checkpoint, tmp_path / "poisoned")
    a, b, c, *_ = tiny.letter_ids(checkpoint)
    poison = POISON | {"forced_bos_token_id": a, "forced_eos_token_id": b, "suppress_tokens": [c]}
    path = tmp_path / "poisoned/generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | poison))
    path = tmp_path / "poisoned/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"forced_bos_token_id": a, "forced_eos_token_id": b}))
    return tmp_path / "poisoned"


def raw(checkpoint, folder):
    """The model as transformers itself loads it."""
    return getattr(transformers, checkpoint.model.family.model_class).from_pretrained(folder).eval()


DECODING = [
    {"num_beams": 1},
    {"num_beams": 4},
    {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True},
    {"num_beams": 3, "min_new_tokens": 4},
]


def test_a_checkpoints_generation_settings_change_nothing(checkpoint, batch, poisoned):
    source = batch[2]
    loaded = load(poisoned).model
    torch.manual_seed(0)
    samples = ancestral_sample(checkpoint.model, source, 6, [0]).labels
    assert torch.equal(ancestral_sample(loaded, source, 6, [0]).labels, samples)
    for decoding in DECODING:
        clean = checkpoint.model.generate(source, max_new_tokens=6, do_sample=False, **decoding)
        assert torch.equal(loaded.generate(source, max_new_tokens=6, do_sample=False, **decoding), clean)
    # the poison works: transformers left to itself does something else
    module = raw(checkpoint, poisoned)
    ids = module.generate(input_ids=source.input_ids, attention_mask=source.attention_mask, max_new_tokens=6)
    ids = ids[:, 1 if checkpoint.model.family.is_encoder_decoder else source.input_ids.shape[1] :]
    clean = checkpoint.model.generate(source, max_new_tokens=6)
    assert ids.shape != clean.shape or not torch.equal(ids, clean)


def test_a_saved_model_carries_no_generation_settings(poisoned, tmp_path):
    save(load(poisoned), tmp_path / "again")
    written = json.loads((tmp_path / "again/generation_config.json").read_text())
    assert not set(written) & {*POISON, "forced_bos_token_id", "suppress_tokens"}


@pytest.mark.parametrize("decoding", DECODING)
def test_generate_is_transformers_own_under_the_same_settings(checkpoint, batch, decoding, tmp_path):
    """Encoder-decoder outputs begin after the start token, decoder-only outputs after the prompt."""
    sources, _, source, _ = batch
    save(checkpoint, tmp_path / "model")
    module = raw(checkpoint, tmp_path / "model")
    config = transformers.GenerationConfig(
        max_new_tokens=6,
        do_sample=False,
        bos_token_id=checkpoint.model.module.config.bos_token_id,
        eos_token_id=checkpoint.model.eos_token_id,
        pad_token_id=checkpoint.model.pad_token_id,
        decoder_start_token_id=checkpoint.model.decoder_start_token_id,
        **decoding,
    )
    ours = as_labels(
        checkpoint.model.generate(source, max_new_tokens=6, do_sample=False, **decoding), checkpoint.model.ends
    )
    for row, one in enumerate(sources):  # one at a time, unpadded
        ids = torch.tensor([one])
        output = module.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config)[
            0
        ].tolist()
        output = output[1:] if checkpoint.model.family.is_encoder_decoder else output[len(one) :]
        if checkpoint.model.eos_token_id in output:
            output = output[: output.index(checkpoint.model.eos_token_id) + 1]
        assert [token for token in ours.labels[row].tolist() if token != IGNORE] == output


@torch.no_grad()
def test_sampling_with_generate_is_not_cut_to_the_likeliest_tokens(family):
    """transformers keeps the 50 likeliest tokens by default; here 200 are as likely."""
    flat = {
        **tiny.for_kin({"init_std": 1e-3}),
        "t5": {"initializer_factor": 1e-2},
        "gpt2": {"initializer_range": 1e-3},
        **tiny.for_llamas({"initializer_range": 1e-3}),
        "opt": {"init_std": 1e-3},
    }
    letters = [chr(code) for code in range(0x4E00, 0x4E00 + 200)]
    checkpoint = tiny.checkpoint(family, letters=letters, **flat[family])
    source = source_batch(checkpoint.model, [tiny.letter_ids(checkpoint)[:3]] * 400)
    torch.manual_seed(0)
    ids = checkpoint.model.generate(source, max_new_tokens=1, do_sample=True)
    assert len(set(ids[:, 0].tolist())) > 120
