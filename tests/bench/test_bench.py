"""The benchmark: all steps are the same work, and what is measured is said as it is."""

import json
import runpy
import sys
from contextlib import contextmanager

import pytest
import tiny
import torch
import yaml
from fdistill.artifacts.files import write_json
from fdistill.bench import caches, losses, plain, steps
from fdistill.bench.clock import peak_memory
from fdistill.bench.machine import INSTALL
from fdistill.bench.study import Job, Sizes, chains_of, jobs_of, makespan, plan
from fdistill.bench.work import AS_IN_TEXT, FULL, Work
from fdistill.config import load
from fdistill.data.batches import source_batch
from fdistill.data.encoding import Limits
from fdistill.losses.objectives import IGNORE
from fdistill.runtime.errors import UserError
from fdistill.sampling.sampler import ancestral_sample
from fdistill.sampling.teacher_cache import STATES, TOPK
from fdistill.training import step_parts
from scipy.stats import chisquare
from snake import ROOT, snakemake

METHODS = {
    name: entry["terms"]
    for name, entry in yaml.safe_load((ROOT / "config/methods.yaml").read_text()).items()
    if name in steps.METHODS
}
FAMILIES = ("bart", "t5", "gpt2")


def work_of(family, lengths=AS_IN_TEXT, batch_size=5):
    stacks = ("decoder",) if family == "gpt2" else ("encoder", "decoder")
    teacher = {"init": "scratch", "vocab_size": 40, "config": tiny.CONFIGS[family]}
    model = {"family": family, "teacher": teacher, "student": dict.fromkeys(stacks, 1)}
    return Work.of(model, Limits(12, 10), batch_size, lengths, seed=1)


def batch_of(made):
    (batch,) = next(made.trainer.batches())
    made.trainer.learner.sample_and_count(batch, 0)
    return batch


@pytest.mark.parametrize("method", steps.with_on_policy(METHODS))
@pytest.mark.parametrize("family", FAMILIES)
def test_both_steps_have_the_same_loss_and_gradient(family, method):
    """On sequences of unequal lengths, in float64."""
    work = work_of(family)
    for model in (work.teacher, work.student):
        model.module.double()
    made = steps.Steps(work, method, steps.with_on_policy(METHODS)[method], tiny.settings(batch_size=5), seed=0)
    batch = batch_of(made)
    assert all(len(set((labels != IGNORE).sum(1).tolist())) > 1 for labels in batch.labels.values())
    ours = made.trainer.learner.add_gradient(batch, batch.counts(), 0)
    gradients = [weight.grad.clone() for weight in made.trainer.trainable]
    work.student.module.zero_grad()
    value = made.plain_loss(batch)
    value.backward()
    assert value.item() == pytest.approx(ours, rel=1e-6) and ours > 0.01  # its softmax is float32
    for one, other in zip(gradients, made.trainer.trainable, strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_comparison_is_whole(family):
    work = work_of(family)
    weights = {name: value.clone() for name, value in work.student.module.state_dict().items()}
    found = steps.compare(work, "js", METHODS["js"], tiny.settings(batch_size=5), repeats=2, seed=1)
    assert set(found["steps"]) == set(found["losses"]) == {steps.OURS, steps.PLAIN} and found["missing"] == {}
    for measured in found["steps"].values():
        parts = measured["parts"]
        assert set(parts) == {*step_parts.PARTS, steps.REST} and all(seconds > 0 for seconds in parts.values())
        assert measured["tokens_per_second"] > 0 and measured["peak_memory_bytes"] > 0
        assert measured["seconds"]["min"] <= measured["seconds"]["median"] <= measured["seconds"]["max"]
    assert found["steps"][steps.OURS]["times_ours"] == dict.fromkeys(("median", "min", "max"), 1)
    assert found["losses"][steps.OURS] == pytest.approx(found["losses"][steps.PLAIN], rel=1e-5)
    for name, value in work.student.module.state_dict().items():  # of the one whose loss was taken last
        assert torch.equal(value, weights[name])


def test_trl_does_the_same_work_where_it_is_installed():
    pytest.importorskip("trl", reason=f"trl is not installed; {INSTALL}")
    work = work_of("gpt2", FULL)
    found = steps.compare(work, steps.ON_POLICY, steps.ON_POLICY_TERMS, tiny.settings(batch_size=5), repeats=1, seed=1)
    assert found["missing"] == {} and found["losses"]["trl"] == pytest.approx(found["losses"]["ours"], rel=1e-5)
    assert all(seconds > 0 for seconds in found["steps"]["trl"]["parts"].values())
    assert found["steps"]["trl"]["tokens_per_second"] > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_with_a_teacher_cache_the_loss_is_the_same_or_a_lower_bound(family, method):
    work = work_of(family)
    found = steps.compare(work, method, METHODS[method], tiny.settings(batch_size=5), 1, seed=1, top_k=3)
    names = {steps.CACHED[kind] for kind in (STATES, TOPK)}
    assert names | {steps.OURS, steps.PLAIN} == set(found["steps"]) == set(found["losses"])
    whole, states, bound = (found["losses"][name] for name in (steps.OURS, *steps.CACHED.values()))
    assert states == pytest.approx(whole, rel=1e-6) and 0.1 * whole < bound < 0.999 * whole
    for name in names:
        assert found["steps"][name]["seconds"]["median"] > 0 and found["caches"][name]["seconds_per_batch"] > 0
    width = work.teacher.module.get_output_embeddings().weight.shape[1]
    sizes = {steps.CACHED[STATES]: 4 * width, steps.CACHED[TOPK]: 4 * 3 + 4 * 4}  # float32; int32 and K + 1 floats
    for name, size in sizes.items():
        assert size < found["caches"][name]["bytes_per_token"] < 4 * size  # of such short texts, places take the most


def test_a_step_with_a_teacher_cache_does_not_run_the_teacher_on_what_is_stored():
    work = work_of("bart")
    decoded, decode = [], work.teacher.decode
    work.teacher.decode = lambda context, labels, hidden=False: (
        decoded.append(labels) or decode(context, labels, hidden)
    )
    with caches.stored(work, METHODS["js"], tiny.settings(batch_size=5), top_k=3) as stored:
        made = steps.Steps(work, "js", METHODS["js"], tiny.settings(batch_size=5), 0, stored)
        (batch,) = next(made.trainer.batches())
        for name, count in {steps.CACHED[STATES]: 1, steps.CACHED[TOPK]: 1, steps.OURS: 2}.items():
            decoded.clear()
            made.run(name, batch)
            assert len(decoded) == count, name


def test_a_method_that_has_no_teacher_samples_has_no_cache():
    found = steps.compare(
        work_of("bart"), steps.ON_POLICY, steps.ON_POLICY_TERMS, tiny.settings(batch_size=5), 1, seed=1, top_k=3
    )
    assert set(found["steps"]) == {steps.OURS, steps.PLAIN} and found["caches"] == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_and_samples_are_as_long_as_is_said(family):
    full, sampled = work_of(family, FULL, 40), work_of(family, AS_IN_TEXT, 40)
    for work in (full, sampled):
        made = steps.Steps(work, "js", METHODS["js"], tiny.settings(batch_size=40), seed=0)
        lengths = {kind: (labels != IGNORE).sum(1) for kind, labels in batch_of(made).labels.items()}
        if work is full:
            assert all((found == 10).all() for found in lengths.values())
        else:
            targets = sum(len(target) for target in work.data.train.targets) / len(work.data.train)
            assert 3 < targets < 6 and 2 < lengths["student_samples"].float().mean() < 8


@pytest.mark.parametrize("family", FAMILIES)
def test_both_sample_from_the_model(family):
    """2,000 sequences each of up to two tokens for one source, against their exact probabilities."""
    made = tiny.checkpoint(family, seed=1)
    source = tiny.random_pairs(made, 1)[0][0]
    batch, eos = source_batch(made.model, [source] * 2000), made.model.eos_token_id
    torch.manual_seed(0)
    sampled = {
        steps.OURS: ancestral_sample(made.model, batch, 2, [7]).labels,
        steps.PLAIN: plain.sample(made.model.module.eval(), batch.input_ids, batch.attention_mask, 2),
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
    for name, labels in sampled.items():
        seen = list(map(tuple, labels.tolist()))
        observed = [seen.count(pair) for pair in common]
        rest = 2000 * (1 - sum(expected[pair] for pair in common))
        counts = [*observed, 2000 - sum(observed)]
        frequencies = [*(2000 * expected[pair] for pair in common), rest]
        if rest < 5:  # too few for a class of its own
            counts, frequencies = counts[:-1], [f * sum(counts[:-1]) / (2000 - rest) for f in frequencies[:-1]]
        assert chisquare(counts, frequencies).pvalue > 1e-3, name


def test_parts_are_told_to_who_listens_and_the_inner_one_counts():
    told = []

    @contextmanager
    def listener(name):
        told.append(name)
        yield

    with step_parts.observed_by(listener), step_parts.step_part(step_parts.LOSS):
        pass
    with step_parts.step_part(step_parts.LOSS):
        pass
    assert told == [step_parts.LOSS]


def test_peak_memory_is_what_is_held_at_once():
    size, kept = 2**20, []

    def work():
        for _ in range(3):
            torch.zeros(size)  # given back at once
        kept.append(torch.zeros(size) + 1)

    peak = peak_memory(work, torch.device("cpu"))
    assert 2 * 4 * size <= peak < 2 * 4 * size + 10_000


@pytest.mark.parametrize("method", steps.with_on_policy(METHODS))
def test_the_losses_alone_are_the_same(method):
    found = losses.compare(method, steps.with_on_policy(METHODS)[method], 24, 8, 50, 1, "cpu", seed=0)
    values = [each["value"] for each in found["losses"].values()]
    assert len(values) == 2 and values[0] == pytest.approx(values[1], rel=1e-5) and values[0] > 0.01
    assert found["missing"] == ({"liger": "its kernels need a GPU"} if method == steps.ON_POLICY else {})


def run(monkeypatch, script, *arguments):
    monkeypatch.setattr(steps, "peak_memory", lambda work, device: work() and 2**20)  # to profile takes seconds
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *arguments])
    runpy.run_path(str(ROOT / f"workflow/scripts/{script}.py"), run_name="__main__")


def test_the_script_writes_what_it_measured_and_names_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    teacher = {"init": "scratch", "vocab_size": 300, "config": tiny.CONFIGS["gpt2"]}
    model = {"family": "gpt2", "teacher": teacher, "student": {"decoder": 1}}
    run(
        monkeypatch, "bench", "--model", json.dumps(model), "--methods", json.dumps({"js": METHODS["js"]}), "--seed=1",
        "--device=cpu", "--max-source-tokens=8", "--max-target-tokens=8", "--learning-rate=1e-3", "--epochs=1",
        "--batch-size=4", "--accumulation=2", "--repeats=2", "--top-k=5",
        f"--json={tmp_path}/b.json", f"--table={tmp_path}/b.md",
    )  # fmt: skip
    found = json.loads((tmp_path / "b.json").read_text())
    text = (tmp_path / "b.md").read_text()
    assert [(entry["lengths"], entry["method"]) for entry in found["measured"]] == [
        (lengths, method) for lengths in (FULL, AS_IN_TEXT) for method in ("js", steps.ON_POLICY)
    ]
    assert "batch 4, source 8, target 8" in text and found["machine"]["name"] in text
    for entry in found["measured"]:
        assert f"{1000 * entry['steps']['plain']['seconds']['median']:,.1f}" in text
        assert f"{entry['steps']['plain']['times_ours']['median']:.2f}" in text
    js, on_policy = found["measured"][2:]
    for title, name in {"states": steps.CACHED[STATES], "topk": steps.CACHED[TOPK]}.items():
        assert f"| this project, {title} " in text and name not in on_policy["steps"]
        assert f"{js['caches'][name]['bytes_per_token']:,.0f} bytes per token of the teacher's samples" in text
        assert f"this project, {title} {js['losses'][name]:.6f}" in text
    assert "top-k 5" in text and "TRL: n/a, as trl is not installed; python -m pip install -e '.[bench]'" in text


def test_the_script_of_the_loss_writes_what_it_measured(tmp_path, monkeypatch):
    run(
        monkeypatch, "bench_loss", "--methods", json.dumps(METHODS), "--positions", "8", "16", "--vocabulary=30",
        "--width=8", "--repeats=1", "--seed=1", "--device=cpu", f"--json={tmp_path}/b.json", f"--table={tmp_path}/b.md",
    )  # fmt: skip
    found = json.loads((tmp_path / "b.json").read_text())
    assert [entry["positions"] for entry in found["measured"]] == [8, 16] * 3
    text = (tmp_path / "b.md").read_text()
    assert "vocabulary 30, width 8" in text and "Liger: n/a, as its kernels need a GPU." in text


JOBS = {"a": Job(3), "b": Job(2, frozenset("a")), "c": Job(4, frozenset("a")), "d": Job(1), "e": Job(1)}


@pytest.mark.parametrize(("devices", "seconds"), [(1, 11), (2, 7), (3, 7)])
def test_jobs_are_shared_out_longest_chain_first(devices, seconds):
    assert makespan(JOBS, devices) == seconds
    assert max(chains_of(JOBS).values()) == 7


STAGES = {
    "predistill": {"terms": [], "start": "init_student", "training": "predistill"},
    "js": {"terms": METHODS["js"], "start": "predistill", "training": "distill"},
}
COSTS = {"finetune_teacher": 4, "teacher_samples": 3, "test_samples": 6, "teacher/generate": 9} | {
    "predistill": 2, "js": 5, "generate": 7, "risk": 1,
}  # fmt: skip
# of the teacher and what it draws; then of predistill and js, with what follows each
TOTAL = (80 + 30 + 6 + 9) + 2 * (20 + 150 + 2 * 8)


def test_the_jobs_of_a_study_wait_for_what_they_read():
    sizes = Sizes({"teacher": 20, "predistill": 10, "distill": 30}, sampled=10, inputs=1)
    jobs = jobs_of("xsum", COSTS, sizes, STAGES, 2)
    assert len(jobs) == 4 + 2 * 2 * 3
    assert jobs["xsum/js/1"] == Job(
        150, frozenset({"xsum/finetune_teacher", "xsum/teacher_samples", "xsum/predistill/1"})
    )
    assert jobs["xsum/js/1/risk"] == Job(1, frozenset({"xsum/js/1", "xsum/test_samples"}))
    assert makespan(jobs, 1) == sum(job.seconds for job in jobs.values()) == TOTAL


def test_a_plan_is_of_the_studys_own_sizes():
    def stage(epochs, **bounds):
        bounds = {"max_examples": None, "max_steps": None} | bounds
        return {"epochs": epochs, "batch_size": 5, "accumulation": 2, **bounds}

    task = {
        "training": {"teacher": stage(1), "predistill": stage(9, max_steps=1), "distill": stage(3, max_examples=10)}
    }
    found = plan({"xsum": COSTS}, {"xsum": task}, {"xsum": {"train": 20, "test": 1}}, STAGES, 2, [1, 4])
    assert found["stages"] == {
        name: {"xsum": seconds}
        for name, seconds in {
            "finetune_teacher": 80, "test_samples": 6, "generate": 9 + 4 * 7, "teacher_samples": 30, "predistill": 40,
            "risk": 4, "js": 300,
        }.items()
    }  # fmt: skip
    assert found["seconds"]["1"] == TOTAL == sum(of_stage["xsum"] for of_stage in found["stages"].values())
    assert found["seconds"]["4"] == found["longest_chain"] == 80 + 30 + 150 + 7


def test_the_script_of_growth_writes_what_it_measured(tmp_path, monkeypatch):
    study = load({"tasks": ["dialogue"], "methods": ["predistill", "js"], "seeds": [1]}, [], ROOT)
    task = study.task("dialogue")
    task["text"] |= {"max_source_tokens": 8, "max_target_tokens": 8}
    task["model"]["teacher"] |= {"vocab_size": 40, "config": tiny.CONFIGS["gpt2"]}
    for section in task["training"].values():
        section["batch_size"] = 4
    methods = {name: study.method(name) for name in ("predistill", "js")}
    arguments = (
        "bench_growth", "--tasks", json.dumps({"dialogue": task}), "--methods", json.dumps(methods),
        "--terms", json.dumps(METHODS["js"]), "--examples", "1000", "--devices", "2", "1", "--seeds", "2",
        "--repeats=1", "--seed=1", "--device=cpu", f"--json={tmp_path}/b.json", f"--table={tmp_path}/b.md",
    )  # fmt: skip
    with pytest.raises(SystemExit, match="--manifests: dialogue is missing"):
        run(monkeypatch, *arguments)
    write_json(tmp_path / "manifest.json", {"splits": {"train": 50, "dev": 7, "test": 9}})
    run(monkeypatch, *arguments, "--study-seeds", "3", "--manifests", f"dialogue={tmp_path}/manifest.json")
    found = json.loads((tmp_path / "b.json").read_text())
    grown = {(step["what"], step["size"]) for step in found["steps"]}
    assert {("target length", 2), ("batch", 4), ("vocabulary", 640)} < grown and len(grown) == 9
    assert all(seconds > 0 for seconds in found["costs"]["dialogue"].values())
    (study,) = found["study"]
    assert study["seconds"]["1"] > study["seconds"]["2"] >= study["longest_chain"]
    text = (tmp_path / "b.md").read_text()
    assert f"{study['longest_chain'] / 3600:,.2f}" in text and "By simulation, not measured" in text
    cost, planned = found["costs"]["dialogue"], found["plan"]
    assert planned["stages"]["risk"]["dialogue"] == pytest.approx(cost["risk"] * 9 * 6)
    assert planned["stages"]["js"]["dialogue"] == pytest.approx(
        cost["js"] * 50 * task["training"]["distill"]["epochs"] * 3
    )
    assert "Training and test examples: dialogue 50 and 9; seeds: 3." in text


def test_a_method_without_a_plain_recipe_is_refused():
    with pytest.raises(UserError, match="knows js and tvd, not kl"):
        steps.check_methods({"js": [], "kl": []})


def test_the_target_measures_every_task_of_the_study(tmp_path):
    shown = snakemake("-n", "bench", directory=tmp_path).stdout
    for name in (
        "data_to_text",
        "summarisation",
        "en_ro",
        "dialogue",
        "loss",
        "growth",
        "data_to_text.offline",
        "dialogue.offline",
    ):
        assert f"results/bench/{name}.json" in shown
