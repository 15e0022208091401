"""Fixtures, data and references by transformers alone for the tests of published checkpoints."""

import json
from functools import cache

import pytest
import tiny
import torch
from fdistill.data.batches import label_batch, source_batch
from fdistill.data.encoding import encode_split
from fdistill.data.limits import Limits
from fdistill.models.architectures import model_class
from fdistill.models.checkpoints import load
from fdistill.models.families import FAMILIES
from hub_checkpoints import HUB, TEXTS, write
from snake import ROOT

SCRIPTS = ROOT / "workflow/scripts"
SPLIT_COLUMNS = {
    "id": ["0", "1", "2"],
    "group": ["0", "1", "2"],
    "source": [TEXTS[0], "my friend", "the dog jumps"],
    "references": [["o zi"], ["un om bun", "un om"], ["aici este"]],
}
LIMITS = Limits(max_source_tokens=40, max_target_tokens=20, too_long="truncate")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Return the folder of a published checkpoint by its name; it is written at first use."""
    root = tmp_path_factory.mktemp("hub")
    return lambda name: root / name if (root / name).exists() else write(root / name, name)


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    """Each model family in turn."""
    return request.param


@pytest.fixture(params=HUB)
def name(request) -> str:
    """Each published checkpoint in turn."""
    return request.param


def fresh(hub, name):
    """Load a published checkpoint anew, for a test that changes it."""
    return load(hub(name), "cpu", *HUB[name].languages)


@cache
def teacher_of(hub, name):
    """Load a published checkpoint once, for tests that do not change it."""
    return fresh(hub, name)


def raw(hub, name):
    """Load a published checkpoint by transformers alone."""
    return model_class(FAMILIES[HUB[name].family]).from_pretrained(hub(name)).eval()


def encoded(checkpoint, limits=LIMITS):
    return encode_split(SPLIT_COLUMNS, checkpoint.tokenizer, limits, "train")


def batch(checkpoint):
    split = encoded(checkpoint)
    return source_batch(checkpoint.model, split.sources), label_batch(split.targets, "cpu")


def logits_of(checkpoint):
    source, labels = batch(checkpoint)
    with torch.no_grad():
        return tiny.logits(checkpoint, source, labels)


def raw_logits(module, checkpoint, source, target):
    """Return the logits (T, V) of an unpadded example by transformers alone.

    Rows that are no tokens are left out, and the logit of a pad token that is never predicted is -inf.
    """
    with torch.no_grad():
        if checkpoint.model.family.is_encoder_decoder:
            decoder_input = torch.tensor([[*checkpoint.model.decoder_prompt, *target[:-1]]])
            logits = module(input_ids=torch.tensor([source]), decoder_input_ids=decoder_input).logits[0]
        else:
            logits = module(torch.tensor([source + target[:-1]])).logits[0]
    logits = logits[-len(target) :, : len(checkpoint.tokenizer)].clone()
    if checkpoint.model.family.pad_is_never_predicted:
        logits[:, checkpoint.model.pad_token_id] = float("-inf")
    return logits


def positions_of(checkpoint):
    """The keys of the embeddings of positions."""
    return [key for key in checkpoint.model.module.state_dict() if "embed_positions" in key]


def read(path):
    return json.loads(path.read_text())
