"""BLEURT with a tiny random checkpoint: the model's rating of each pair, and checkpoints that are refused."""

import pickle

import numpy as np
import pytest
import torch
from fdistill.evaluation.metrics import evaluate
from fdistill.runtime.errors import UserError
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]
SHAPE = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


def checkpoint(folder, model_class=BertForSequenceClassification, **config):
    torch.manual_seed(0)
    size = {"vocab_size": len(VOCABULARY), "max_position_embeddings": 24, "initializer_range": 0.6}
    model = model_class(BertConfig(**size, **SHAPE, **config)).eval()
    model.save_pretrained(folder)
    tokenizer = BertTokenizer(vocab={token: i for i, token in enumerate(VOCABULARY)})
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def bleurt(folder, hypotheses, references):
    options = {"bleurt": {"model": str(folder)}}
    return evaluate(hypotheses, references, ["bleurt"], options)["metrics"]["bleurt"]


def test_it_is_the_mean_rating_of_reference_and_candidate(tmp_path):
    model, tokenizer = checkpoint(tmp_path, num_labels=1)
    hypotheses = ["a b c", "", "d e f g h a b c", "a b c"]
    references = [["a b d", "h"], ["c"], ["f"], ["a b d", "g g g g"]]

    def rating(reference, candidate):
        with torch.no_grad():
            return model(**tokenizer([reference], [candidate], return_tensors="pt")).logits.item()

    pairs = list(zip(hypotheses, references, strict=True))
    expected = np.mean([max(rating(text, hypothesis) for text in several) for hypothesis, several in pairs])
    entry = bleurt(tmp_path, hypotheses, references)
    assert entry["value"] == pytest.approx(100 * expected, abs=1e-3)
    assert rating("a b d", "c") != pytest.approx(rating("c", "a b d"), abs=1e-3)  # the order matters
    assert entry["signature"].startswith(f"BLEURT|{tmp_path}|refs:best|torch:")


def test_long_pairs_are_cut(tmp_path):
    checkpoint(tmp_path, num_labels=1)
    # 24 positions, three of them special: the longer text gives way until both fit.
    assert (
        bleurt(tmp_path, ["a " * 40], [["b " * 40]])["value"] == bleurt(tmp_path, ["a " * 60], [["b " * 60]])["value"]
    )


def test_a_classifier_is_no_bleurt(tmp_path):
    checkpoint(tmp_path, num_labels=3)
    with pytest.raises(UserError, match="returns 3 numbers per pair, a BLEURT checkpoint one; give a BLEURT"):
        bleurt(tmp_path, ["a"], [["a"]])


def test_a_pickle_is_not_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    checkpoint(tmp_path / "model", num_labels=1)
    (tmp_path / "model" / "model.safetensors").unlink()
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    missing = bleurt(tmp_path / "model", ["a"], [["a"]])["missing"]
    assert "no file named model.safetensors" in missing["reason"] and "only safetensors are read" in missing["fix"]
    assert not (tmp_path / "ran").exists()


def test_a_plain_encoder_is_not_given_random_weights(tmp_path):
    checkpoint(tmp_path, BertModel, num_labels=1)
    missing = bleurt(tmp_path, ["a"], [["a"]])["missing"]
    assert "lacks weights that bleurt needs (classifier" in missing["reason"] and "bleurt.model" in missing["fix"]


def test_without_a_checkpoint_it_is_missing_by_name():
    missing = evaluate(["a"], [["a"]], ["bleurt"])["metrics"]["bleurt"]["missing"]
    assert missing["reason"] == "BLEURT rates with a trained model, and none is set"
    assert "bleurt.model" in missing["fix"]
