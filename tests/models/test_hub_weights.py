"""Published checkpoints whose weights are too many, pickled, or of two vocabularies."""

import json

import pytest
import torch
from fdistill.models.checkpoints import load, save
from fdistill.models.location import WEIGHTS
from fdistill.runtime.errors import UserError
from hub_cases import read, teacher_of
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


@pytest.fixture
def copied(hub, tmp_path):
    """Return a function that copies a published checkpoint into a folder, for a test to damage."""

    def copy(name):
        checkpoint = teacher_of(hub, name)
        save(checkpoint, tmp_path / "copy")
        return tmp_path / "copy"

    return copy


@pytest.mark.parametrize(
    ("name", "key"), [("bart-large", "decoder_layers"), ("t5-base", "num_layers"), ("DialoGPT", "n_layer")]
)
def test_weights_of_more_layers_are_refused(copied, name, key):
    """transformers would load the first layers and ignore the others."""
    folder = copied(name)
    (folder / "config.json").write_text(json.dumps(read(folder / "config.json") | {key: 2}))
    with pytest.raises(UserError, match=r"weights have no place in the model of config\.json \(first: .*2\."):
        load(folder)


def test_redundant_tensors_are_ignored_and_unknown_weights_refused(copied):
    folder = copied("bart-large-xsum")
    weights = load_file(folder / WEIGHTS)
    extra = {
        "lm_head.weight": weights["model.shared.weight"].clone(),
        "model.decoder.embed_tokens.weight": weights["model.shared.weight"].clone(),
        "model.encoder.embeddings.position_ids": torch.arange(4),
        "model.decoder.version": torch.tensor([3.0]),
    }
    save_file(weights | extra, folder / WEIGHTS, metadata={"format": "pt"})
    load(folder)
    save_file(weights | {"model.adapter.weight": torch.ones(2)}, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 weights have no place .*model\.adapter\.weight"):
        load(folder)


def test_a_checkpoint_without_safetensors_needs_allow_pickle(copied):
    folder = copied("DialoGPT")
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    with pytest.raises(UserError, match=r"has no model\.safetensors.*set allow_pickle: true beside its init"):
        load(folder)
    load(folder, allow_pickle=True)  # as the message advises


def test_a_checkpoint_of_two_vocabularies_is_refused(copied):
    folder = copied("marian")
    config = read(folder / "config.json") | {"share_encoder_decoder_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="separate vocabularies for sources and targets"):
        load(folder)
