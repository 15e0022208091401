"""The benchmark: both steps are the same work, and what is measured is said as it is."""

import json
import runpy
import sys

import pytest
import tiny
import torch
import yaml
from fdistill import training
from fdistill.bench import plain, steps
from fdistill.data.batches import source_batch
from fdistill.objectives import IGNORE, Objective
from fdistill.sampling import ancestral_sample
from fdistill.training import Trainer
from scipy.stats import chisquare
from snake import ROOT, snakemake

METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text())


@pytest.fixture(params=["bart", "t5", "gpt2"])
def pair(request):
    return tiny.checkpoint(request.param, seed=1), tiny.checkpoint(request.param, seed=2)


@pytest.mark.parametrize("method", ["js", "tvd"])
def test_both_steps_have_the_same_loss_and_the_measure_leaves_nothing_behind(pair, method):
    teacher, student = pair
    names = [(training, "draw"), (Objective, "loss"), (torch.Tensor, "backward"), (Trainer, "step")]
    before = [getattr(place, name) for place, name in names]
    settings = tiny.settings(batch_size=6)
    found = steps.compare(teacher, student, METHODS[method]["terms"], method, settings, 6, 6, repeats=2, seed=1)
    losses = found["losses"]
    assert losses["ours"] == pytest.approx(losses["plain"], rel=1e-5) and losses["ours"] > 0.05
    for name in ("ours", "plain"):
        parts = found[name]["parts"]
        assert set(parts) == set(steps.PARTS) and all(seconds > 0 for seconds in parts.values())
    assert found["ratio"] == found["plain"]["seconds"] / found["ours"]["seconds"]
    assert [getattr(place, name) for place, name in names] == before
    assert "encode" not in vars(student.model) and "forward" not in vars(student.model.module)


@pytest.mark.parametrize("method", ["js", "tvd"])
def test_both_steps_have_the_same_gradient(pair, method):
    """On sequences of unequal lengths, in float64."""
    teacher, student = pair
    for made in (teacher, student):
        made.model.module.double()
    terms = Objective.from_config(METHODS[method]["terms"])
    data = steps.data_for(teacher, 5, 6, 6, seed=3)
    data.stored["teacher_samples"] = [[row[0][i:]] for i, row in enumerate(data.stored["teacher_samples"])]
    trainer = Trainer(student.model, teacher.model, terms, data, tiny.settings(batch_size=5), steps.Drawing(6), 0)
    piece = trainer.micro_batch(list(range(5)), 0)
    trainer.piece_backward(piece, trainer.drawn(piece))
    ours = [weight.grad.clone() for weight in trainer.trainable]
    student.model.module.zero_grad()
    halves = {"teacher": piece.labels["teacher_samples"], "student": piece.labels["student_samples"]}
    source = piece.source
    models = (student.model.module, teacher.model.module)
    plain.loss(method, *models, source.input_ids, source.attention_mask, halves).backward()
    for one, other in zip(ours, trainer.trainable, strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-5, atol=1e-7)


def test_both_sample_from_the_model(pair):
    """2,000 sequences each of up to two tokens for one source, against their exact probabilities."""
    made, _ = pair
    source = tiny.random_pairs(made, 1)[0][0]
    batch, eos = source_batch(made.model, [source] * 2000), made.model.eos_token_id
    torch.manual_seed(0)
    drawn = {
        "ours": ancestral_sample(made.model, batch, 2, [7]).labels,
        "plain": plain.sample(made.model.module.eval(), batch.input_ids, batch.attention_mask, 2),
    }
    vocabulary = range(made.model.module.config.vocab_size)
    expected = {}
    with torch.no_grad():
        for first in vocabulary:
            p = tiny.reference_log_probs(made.model, source, [first, 0]).double().exp()
            if first == eos:
                expected[(eos, IGNORE)] = p[0, eos].item()
            else:
                expected |= {(first, second): (p[0, first] * p[1, second]).item() for second in vocabulary}
    common = [pair for pair, p in expected.items() if p * 2000 >= 5]
    for name, labels in drawn.items():
        seen = list(map(tuple, labels.tolist()))
        observed = [seen.count(pair) for pair in common]
        rest = 2000 * (1 - sum(expected[pair] for pair in common))
        counts = [*observed, 2000 - sum(observed)]
        frequencies = [*(2000 * expected[pair] for pair in common), rest]
        if rest < 5:  # too few for a class of its own
            counts, frequencies = counts[:-1], [f * sum(counts[:-1]) / (2000 - rest) for f in frequencies[:-1]]
        assert chisquare(counts, frequencies).pvalue > 1e-3, name


def test_the_script_writes_what_it_measured(tmp_path, monkeypatch):
    config = tiny.CONFIGS["gpt2"] | {"initializer_range": 0.02}
    model = {
        "family": "gpt2",
        "teacher": {"init": "scratch", "vocab_size": 300, "config": config},
        "student": {"decoder": 1},
    }
    arguments = [
        "--model", json.dumps(model), "--methods", json.dumps({"js": METHODS["js"]["terms"]}), "--seed=1",
        "--device=cpu", "--max-source-tokens=8", "--max-target-tokens=8", "--learning-rate=1e-3", "--epochs=1",
        "--batch-size=4", "--repeats=2", f"--json={tmp_path}/b.json", f"--table={tmp_path}/b.md",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["bench.py", *arguments])
    runpy.run_path(str(ROOT / "workflow/scripts/bench.py"), run_name="__main__")
    (found,) = json.loads((tmp_path / "b.json").read_text())["steps"]
    text = (tmp_path / "b.md").read_text()
    assert "batch 4, source 8, target 8" in text
    assert f"{1000 * found['ours']['seconds']:,.1f}" in text and f"{found['ratio']:.2f} times" in text


def test_the_target_measures_every_task_of_the_study(tmp_path):
    shown = snakemake("-n", "bench", directory=tmp_path).stdout
    for task in ("data_to_text", "summarisation", "en_ro", "dialogue"):
        assert f"results/bench/{task}.json" in shown
