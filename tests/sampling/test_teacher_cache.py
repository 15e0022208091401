"""The teacher cache replaces the teacher: kind `states` has the same loss, kind `topk` a lower bound."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import tiny
import torch
import yaml
from chain import TEXT, TRAINING, Study, run
from fdistill.artifacts.files import read_json, read_json_lines
from fdistill.data.encoding import Encoded
from fdistill.losses.divergences import DIVERGENCES, coarsen
from fdistill.losses.objectives import Objective
from fdistill.losses.sequences import STUDENT_SAMPLES, TEACHER_SAMPLES
from fdistill.runtime.errors import UserError
from fdistill.sampling.cache_kinds import STATES, TOPK
from fdistill.sampling.sampler import SamplingConfig
from fdistill.sampling.teacher_cache import FILE, TeacherCache, joined, write_cache, write_distributions
from fdistill.training.micro_batches import TrainingData, micro_batch
from fdistill.training.trainer import Trainer
from snake import ROOT, snakemake

METHODS = yaml.safe_load((ROOT / "config/methods.yaml").read_text())
IDENTITY = {"teacher": "t", "samples": "s"}


@pytest.fixture(params=["bart", "t5", "gpt2"])
def setting(request, tmp_path):
    """Teacher, student, and training data with two samples of each of five examples."""
    teacher, student = (tiny.checkpoint(request.param, seed) for seed in (1, 2))
    sources, first = tiny.random_pairs(teacher, 5, seed=3)
    _, second = tiny.random_pairs(teacher, 5, seed=4)
    train = Encoded([str(i) for i in range(5)], sources, [[target] for target in first])
    return (
        teacher,
        student,
        TrainingData(train, {TEACHER_SAMPLES: [list(pair) for pair in zip(first, second, strict=True)]}),
    )


def with_cache(folder, teacher, data, kind, top_k=3):
    samples = data.stored[TEACHER_SAMPLES]
    sources = [source for source, sampled in zip(data.train.sources, samples, strict=True) for _ in sampled]
    flat = [sequence for sampled in samples for sequence in sampled]
    write_cache(folder, teacher.model, sources, flat, kind, top_k, 3, nullcontext(), {"inputs": IDENTITY})
    return TrainingData(data.train, data.stored, TeacherCache(folder, IDENTITY))


def trainer_of(setting, data, terms):
    teacher, student, _ = setting
    return Trainer(
        student.model,
        teacher.model,
        Objective.from_config(terms),
        data,
        tiny.settings(batch_size=5),
        SamplingConfig(6),
        1,
    )


def batch_of(trainer, items, epoch):
    return micro_batch(trainer.data, items, epoch, trainer.learner.objective.sequences, trainer.student)


def loss_and_gradients(trainer, epoch=0, count=1):
    batch = batch_of(trainer, [3, 0, 4, 1, 2], epoch)
    parts = batch.split(count)
    counts = {}
    for part in parts:
        for kind, number in trainer.learner.sample_and_count(part, 0).items():
            counts[kind] = counts[kind] + number if kind in counts else number
    trainer.student.module.zero_grad()
    loss = sum(trainer.learner.add_gradient(part, counts, 0) for part in parts)
    return loss, [weight.grad.clone() for weight in trainer.trainable]


@pytest.mark.parametrize("method", ["kl", "js", "tvd", "js_exact"])
@pytest.mark.parametrize("epoch", [0, 1])
def test_states_give_the_teachers_loss_and_gradients(setting, method, epoch, tmp_path):
    teacher, _, data = setting
    terms = METHODS[method]["terms"]
    loss, gradients = loss_and_gradients(trainer_of(setting, data, terms), epoch)
    other = trainer_of(setting, with_cache(tmp_path / "cache", teacher, data, STATES), terms)
    for parts in (1, 2):
        cached_loss, cached_gradients = loss_and_gradients(other, epoch, parts)
        assert cached_loss == pytest.approx(loss, rel=1e-5) and loss > 1e-3
        for one, two in zip(gradients, cached_gradients, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["kl", "js"])
def test_the_teacher_is_not_run_on_what_is_stored(setting, method, tmp_path):
    teacher, _, data = setting
    trainer = trainer_of(setting, with_cache(tmp_path / "cache", teacher, data, STATES), METHODS[method]["terms"])
    decoded, decode = [], teacher.model.decode
    teacher.model.decode = lambda context, labels, hidden=False: (
        decoded.append(labels) or decode(context, labels, hidden)
    )
    batch = batch_of(trainer, [0, 1], 0)
    trainer.learner.loss(batch, trainer.learner.sample_and_count(batch, 0))
    assert len(decoded) == (method == "js")
    assert all(labels is batch.labels[STUDENT_SAMPLES] for labels in decoded)


@pytest.mark.parametrize("method", ["kl", "js", "tvd"])
def test_the_likeliest_tokens_give_a_lower_bound_and_all_of_them_the_loss(setting, method, tmp_path):
    teacher, _, data = setting
    terms = [term for term in METHODS[method]["terms"] if term["sequences"] == TEACHER_SAMPLES]
    loss, gradients = loss_and_gradients(trainer_of(setting, data, terms))
    bounds = []
    for top_k in (1, 3, 1000):
        stored = with_cache(tmp_path / str(top_k), teacher, data, TOPK, top_k)
        bounds.append(loss_and_gradients(trainer_of(setting, stored, terms)))
    assert 0 < bounds[0][0] < bounds[1][0] < loss
    assert bounds[2][0] == pytest.approx(loss, rel=1e-5)
    for one, two in zip(gradients, bounds[2][1], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_coarsened_divergences_are_bounded_by_the_full_ones(name):
    """Against sums of probabilities in float64."""
    generator = torch.Generator().manual_seed(0)
    log_p, log_q = (torch.randn(50, 9, generator=generator, dtype=torch.float64).log_softmax(-1) for _ in range(2))
    tokens = log_p.topk(4).indices
    coarse = [coarsen(log_probs, tokens) for log_probs in (log_p, log_q)]
    for merged, full in zip(coarse, (log_p, log_q), strict=True):
        likeliest = full.exp().gather(-1, tokens)
        torch.testing.assert_close(merged.exp(), torch.cat([likeliest, 1 - likeliest.sum(-1, keepdim=True)], -1))
    bound = DIVERGENCES[name](log_p, log_q)
    assert (DIVERGENCES[name](*coarse) <= bound + 1e-12).all()


@pytest.mark.parametrize("widths", [(2, 4), (4, 2), (3, 3)])
def test_joined_caches_have_the_tokens_of_the_smaller_one(widths, tmp_path):
    """Against the full distributions: the likeliest tokens by themselves, and all others together."""
    generator = torch.Generator().manual_seed(0)
    caches, full = [], []
    for number, width in enumerate(widths):
        log_p = torch.randn(3, 9, generator=generator).log_softmax(-1)
        tokens = log_p.topk(width).indices
        batch = ([0], [[tokens.int()], [coarsen(log_p, tokens)]])
        write_distributions(tmp_path / str(number), TOPK, [batch], {"inputs": {}, "top_k": width})
        caches.append(TeacherCache(tmp_path / str(number), {}))
        full.append(log_p)
    for row, log_p in enumerate(full):
        found, tokens = joined(caches).distributions(row, 3), log_p.topk(min(widths)).indices
        assert found["top_tokens"].equal(tokens.int())
        expected = coarsen(log_p.double(), tokens)
        assert torch.allclose(found["top_log_probs"].double(), expected, atol=1e-6)


@pytest.mark.parametrize("key", IDENTITY)
def test_a_cache_of_something_else_is_refused(setting, key, tmp_path):
    teacher, _, data = setting
    with_cache(tmp_path / "cache", teacher, data, STATES)
    with pytest.raises(UserError, match=rf"cache: it was made .*{key} .*give a folder that cache_teacher wrote"):
        TeacherCache(tmp_path / "cache", IDENTITY | {key: "other"})


def test_a_damaged_cache_is_refused(setting, tmp_path):
    teacher, _, data = setting
    with_cache(tmp_path / "cache", teacher, data, STATES)
    file = tmp_path / "cache" / FILE
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        TeacherCache(tmp_path / "cache", IDENTITY)


def test_the_scripts_train_to_the_same_curve(tmp_path):
    study = Study(tmp_path / "study").make()
    terms = json.dumps(METHODS["js"]["terms"])
    samples = ["--teacher", study.teacher, "--teacher-samples", study.samples]
    inputs = [*samples, "--train", study.train, "--dev", study.dev, "--start", study.start, "--terms", terms]
    others = ["--seed", 1, "--device", "cpu", *TEXT, *TRAINING]
    curves = []
    for kind in (None, STATES, TOPK):
        given, folder = [], tmp_path / str(kind)
        if kind:
            cache = ["--cache", folder / "cache", "--kind", kind, "--top-k", 1000]
            run("cache_teacher", "--split", study.train, *samples, *cache, "--seed", 1, "--device", "cpu", *TEXT)
            given = ["--teacher-cache", folder / "cache"]
        written = ["--model", folder / "model", "--history", folder / "train.jsonl"]
        run("distill", *inputs, *given, *written, *others)
        lines, _ = read_json_lines(folder / "train.jsonl")
        curves.append([value for line in lines for value in (line.get("loss"), *line.get("dev", {}).values()) if value])
        manifest = read_json(folder / "model" / "manifest.json")
        assert ("teacher_cache" in manifest["inputs"]) == bool(kind)
    assert len(curves[0]) > 1
    assert curves[1] == pytest.approx(curves[0], rel=1e-4) and curves[2] == pytest.approx(curves[0], rel=1e-3)
    changed = ["--max-source-tokens", "15", *TEXT[2:]]
    written = ["--model", tmp_path / "m", "--history", tmp_path / "h"]
    message = run("distill", *inputs, "--teacher-cache", tmp_path / STATES / "cache", *written, *others[:4], *changed,
               *TRAINING, fails=True)  # fmt: skip
    assert "other lengths or another prefix" in message


def overlay(folder: Path, **cache) -> Path:
    given = {"tasks": ["en_ro"], "methods": ["js", "js_exact", "rkl"], "task_overrides": {"en_ro": cache}}
    (folder / "o.yaml").write_text(yaml.safe_dump(given))
    return folder / "o.yaml"


@pytest.mark.parametrize(("stored", "asked"), [("none", False), ("states", True)])
def test_methods_that_read_the_cache_require_it(stored, asked, tmp_path):
    given = overlay(tmp_path, teacher_cache=stored)
    shown = snakemake("-n", "--configfile", given, "--", "results/en_ro/js/seed1/model", directory=tmp_path).stdout
    assert ("cache_teacher" in shown) == asked
    shown = snakemake("-n", "--configfile", given, "--", "results/en_ro/rkl/seed1/model", directory=tmp_path).stdout
    assert "cache_teacher" not in shown


def test_what_is_not_stored_cannot_be_read(tmp_path):
    given = overlay(tmp_path, teacher_cache="topk", teacher_cache_tokens=64)
    done = snakemake("-n", "--configfile", given, directory=tmp_path, check=False)
    missing = "every sampled token's probability (parameter exact)"
    assert f"topk does not contain {missing}, which method 'js_exact' needs" in done.stdout
