"""A metric that breaks fails by its name, and takes no other metric's value with it."""

import dataclasses
import errno
import json
import math
import os

import pytest
import torch
from chain import run
from fdistill.artifacts.files import write_parquet
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation import metrics
from fdistill.evaluation.metrics import MetricFailed, MetricMissing, Score, ScoreStore, encoders, evaluate
from metric_examples import ENCODER, HYPOTHESES, REFERENCES, value
from transformers import AutoModel, AutoTokenizer

MODEL = encoders.locate("", ENCODER["model"])


def replace(monkeypatch, key, function):
    monkeypatch.setitem(metrics.METRICS, key, dataclasses.replace(metrics.METRICS[key], function=function))


def fail(error):
    def function(hypotheses, references, options):
        raise error

    return function


def test_other_metrics_are_computed_and_kept_for_the_next_run(monkeypatch, tmp_path, caplog):
    store = ScoreStore(tmp_path / "so_far.json", {"split": "a"})
    replace(monkeypatch, "rouge1", fail(KeyError("no such key")))
    replace(monkeypatch, "rouge2", fail(MemoryError("not enough")))
    asked = ["bleu4", "rouge1", "rouge2", "chrf"]
    with pytest.raises(MetricFailed, match=r"^metric 'rouge1' failed: KeyError.*; metric 'rouge2' failed: MemoryError"):
        evaluate(HYPOTHESES, REFERENCES, asked, store=store)
    assert "Traceback" in caplog.text  # of what is a bug

    monkeypatch.undo()
    replace(monkeypatch, "chrf", fail(AssertionError("computed again")))
    again = evaluate(HYPOTHESES, REFERENCES, asked, store=ScoreStore(store.path, {"split": "a"}))
    monkeypatch.undo()
    assert again == evaluate(HYPOTHESES, REFERENCES, asked) and list(again["metrics"]) == asked
    store.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["identity", "a bit", "truncated"])
def test_kept_scores_of_something_else_are_not_used(tmp_path, damage):
    store = ScoreStore(tmp_path / "so_far.json", {"split": "a"})
    evaluate(HYPOTHESES, REFERENCES, ["bleu4"], store=store)
    assert store.read()["bleu4"]["value"] == value("bleu4")
    content = store.path.read_bytes()
    if damage != "identity":
        store.path.write_bytes(content.replace(b'"value": ', b'"value": 1') if damage == "a bit" else content[:-9])
    other = ScoreStore(store.path, {"split": "b" if damage == "identity" else "a"})
    assert other.read() == {}


def test_the_script_writes_no_score_until_all_are_computed(monkeypatch, tmp_path):
    columns = {"id": ["a"], "group": ["a"], "source": ["a"], "references": [["a b"]]}
    write_parquet(tmp_path / "test.parquet", columns, SPLIT)
    columns = {"id": ["a"], "hypothesis": ["a b"], "n_tokens": [1], "finished": [True]}
    write_parquet(tmp_path / "generate.parquet", columns, GENERATIONS)
    arguments = ["--test", tmp_path / "test.parquet", "--generations", tmp_path / "generate.parquet"]
    arguments += ["--metrics", "ter", "chrf", "rouge1", "--task", "t", "--method", "kl", "--seed", 1]
    arguments += ["--output", tmp_path / "score.json", "--so-far", tmp_path / "kept/so_far.json"]
    replace(monkeypatch, "chrf", fail(OSError("unplugged")))
    said = run("score", *arguments, fails=True)
    assert said == "error: metric 'chrf' failed: OSError: unplugged"
    assert not (tmp_path / "score.json").exists()
    assert set(json.loads((tmp_path / "kept/so_far.json").read_text().split("\n")[1])["scores"]) == {"ter", "rouge1"}
    monkeypatch.undo()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # as where there is a GPU; afterwards it is what it was
    run("score", *arguments, "--device", "auto")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    run("score", *arguments, "--device", "cpu")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert list(json.loads((tmp_path / "score.json").read_text())["metrics"]) == ["ter", "chrf", "rouge1"]
    assert not (tmp_path / "kept/so_far.json").exists()


def test_an_encoders_files_are_told_apart(tmp_path):
    AutoTokenizer.from_pretrained(MODEL).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    before = encoders.files_of(str(tmp_path))
    assert before == encoders.files_of(str(tmp_path))
    (tmp_path / "config.json").write_text("{ }")
    assert before != encoders.files_of(str(tmp_path))
    assert encoders.files_of("a/hub-id") is None is encoders.files_of(str(tmp_path / "nothing"))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_value_is_a_finite_number(monkeypatch, number):
    replace(monkeypatch, "rouge1", lambda *_: Score(number, "rouge1", [number]))
    with pytest.raises(MetricFailed, match=f"metric 'rouge1': its value is {number}"):
        value("rouge1")


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("metric", ["bertscore", "moverscore"])
def test_encoders_compute_in_float32(tmp_path, metric, stored):
    """The value is that of the same weights, stored in float32."""
    AutoTokenizer.from_pretrained(MODEL).save_pretrained(tmp_path)
    model = AutoModel.from_pretrained(MODEL).to(stored)
    values = []
    for dtype in (stored, torch.float32):
        model.to(dtype).save_pretrained(tmp_path)
        options = {"model": str(tmp_path)} | ({"num_layers": 6} if metric == "bertscore" else {})
        values.append(value(metric, options=options))
    assert values[0] == values[1]


@pytest.mark.parametrize("metric", ["bertscore", "moverscore"])
def test_missing_weights_are_not_made_up(tmp_path, metric):
    AutoTokenizer.from_pretrained(MODEL).save_pretrained(tmp_path)
    model = AutoModel.from_pretrained(MODEL)
    weights = {key: value for key, value in model.state_dict().items() if "layer.2.output" not in key}
    model.save_pretrained(tmp_path, state_dict=weights)
    options = {"model": str(tmp_path)} | ({"num_layers": 6} if metric == "bertscore" else {})
    missing = evaluate(HYPOTHESES, REFERENCES, [metric], {metric: options})["metrics"][metric]["missing"]
    assert "lacks weights" in missing["reason"] and "layer.2.output" in missing["reason"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOMEM])
def test_loading_that_breaks_off_is_a_failure_and_not_n_a(monkeypatch, number):
    def load(*_, **__):
        try:
            raise OSError(number, "the system says so")
        except OSError as error:
            raise OSError("Can't load the model") from error

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", load)
    with pytest.raises(MetricFailed, match=r"metric 'moverscore': loading the encoder .* broke off"):
        value("moverscore", options={"model": ENCODER["model"]})


def test_an_encoder_out_of_reach_is_n_a():
    assert isinstance(encoders.not_loaded("bleurt", "x/y", OSError("We couldn't connect")), MetricMissing)
