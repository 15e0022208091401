"""What a model costs in use, measured of tiny models: counts, order, sums; never speed."""

import json

import numpy as np
import pytest
import tiny
import torch
from chain import TEXT, Study, run
from fdistill.artifacts.shapes import mistake
from fdistill.bench import deployed_scores, deployment
from fdistill.bench.footprint import footprint, resident
from fdistill.bench.miniature import miniature
from fdistill.evaluation.deployment import DEPLOYMENT_FILE, FLOAT32, FULL, INT8, RUNTIMES
from fdistill.evaluation.metrics import evaluate
from fdistill.evaluation.resampling import interval
from fdistill.runtime.errors import UserError
from fdistill.sampling.engine_limits import differences
from fdistill.sampling.sampler import SamplingConfig
from model_cases import CONVERTIBLE, convertible

GREEDY = SamplingConfig(5, "beam", {"num_beams": 1})
TIMES = [1.0, 2.0, 4.0, 8.0]


def timings(seconds, inputs=1, tokens=6):
    return [deployment.Timing(value, inputs, tokens) for value in seconds]


@pytest.mark.parametrize("family", tiny.CONFIGS)
def test_parameters_are_counted_once(family):
    module = tiny.checkpoint(family).model.module
    named = dict(module.named_parameters())  # without those that are shared
    embedded = ("shared", "embed_tokens", "embed_positions", "wte", "wpe", "lm_head")
    inner = sum(p.numel() for name, p in named.items() if not any(part in name for part in embedded))
    found = deployment.parameters(tiny.checkpoint(family).model)
    assert found == {"all": sum(p.numel() for p in named.values()), "without_embeddings": inner}


def test_latency_throughput_and_speedup_are_quartiles():
    found = deployment.summary(timings(TIMES), timings([2.0, 4.0], inputs=32, tokens=200))
    assert found["latency_ms"] == {"median": 3000, "q1": 1750, "q3": 5000} and found["output_tokens"] == 6
    assert found["inputs_per_s"]["median"] == 12 and found["tokens_per_s"]["median"] == 75
    ratios = deployment.speedup(timings([2.0, 2.0, 2.0]), timings([1.0, 2.0, 4.0]))
    assert ratios["median"] == 1.0 and ratios["q1"] == 0.75 and ratios["q3"] == 1.5


def test_batches_are_random_and_without_repetition():
    batches = deployment.batches_of(40, 32, 3, seed=1)
    assert batches == deployment.batches_of(40, 32, 3, seed=1) != deployment.batches_of(40, 32, 3, seed=2)
    assert all(len(batch) == len(set(batch)) == 32 and set(batch) <= set(range(40)) for batch in batches)
    assert [len(batch) for batch in deployment.batches_of(5, 32, 2, seed=1)] == [5, 5]


def test_all_answer_the_same_inputs_in_turn_and_the_first_batch_warms_up(monkeypatch):
    made = tiny.checkpoint("bart").model
    calls, clock = [], [0.0]
    monkeypatch.setattr(deployment, "now", lambda device: clock[0])

    class Contender(deployment.Contender):
        def answer(self, sources, sampling):
            calls.append((self.engine, sources))
            clock[0] += {"a": 1.0, "b": 3.0}[self.engine]
            return 7

    contenders = {name: Contender(made, name) for name in ("a", "b")}
    found = deployment.timed_in_turn(contenders, ["x", "y", "z"], [[0], [1], [2]], GREEDY)
    orders = ["".join(name for name, _ in calls[place : place + 2]) for place in range(0, 8, 2)]
    assert set(orders) == {"ab", "ba"}  # no order that favours one
    for name in contenders:
        assert [sources for of, sources in calls if of == name] == [["x"], ["x"], ["y"], ["z"]]
    assert found["a"] == timings([1.0] * 3, tokens=7) and found["b"] == timings([3.0] * 3, tokens=7)


@pytest.mark.parametrize("family", ["bart", "t5", "gpt2"])
def test_every_runtime_answers_with_as_many_tokens(family):
    made, teacher = tiny.checkpoint(family, seed=3), tiny.checkpoint(family, seed=4)
    sources = tiny.random_pairs(made, 4)[0]
    contenders, reasons = deployment.contenders(made.model, teacher.model, GREEDY)
    assert set(contenders) == {deployment.REFERENCE, *RUNTIMES} and not reasons
    tokens = {name: contender.answer(sources, GREEDY) for name, contender in contenders.items()}
    assert tokens[FULL] == tokens[FLOAT32] and all(0 < count <= 20 for count in tokens.values())
    sizes = {name: len(contenders[name].files["model.bin"]) for name in (FLOAT32, INT8)}
    assert sizes[INT8] < sizes[FLOAT32]
    measured = deployment.measure(contenders, sources, GREEDY, inputs=3, batches=2, batch_size=2, seed=1)
    assert set(measured["runtimes"]) == set(RUNTIMES)
    assert measured["conditions"] == {"latency_inputs": 3, "batches": 2, "batch_size": 2, "test_inputs": 4}


def test_to_measure_changes_no_model():
    made = tiny.checkpoint("bart", seed=3)
    before = {name: value.clone() for name, value in made.model.module.state_dict().items()}
    deployment.contenders(made.model, made.model, GREEDY)
    assert all(torch.equal(value, before[name]) for name, value in made.model.module.state_dict().items())


@pytest.mark.parametrize(
    ("options", "words"), [({"do_sample": True, "top_p": 0.9}, "do_sample"), ({"num_beams": 1, "top_k": 5}, "top_k")]
)
def test_settings_that_ctranslate2_cannot_follow_have_a_reason(options, words):
    made = tiny.checkpoint("bart").model
    contenders, reasons = deployment.contenders(made, made, SamplingConfig(5, "beam", options))
    assert set(contenders) == {deployment.REFERENCE, FULL} and set(reasons) == {FLOAT32, INT8}
    assert all(words in reason for reason in reasons.values())


def test_other_searches_are_named():
    search = SamplingConfig(5, "beam", {"num_beams": 2, "early_stopping": False, "no_repeat_ngram_size": 3})
    named = [text.partition(":")[0] for text in differences(search.options)]
    assert named == ["no_repeat_ngram_size", "early_stopping"]
    assert differences(GREEDY.options) == []


def test_the_difference_is_paired():
    """Its interval is over the same samples of inputs, against the replicates of both outputs."""
    references = [["a b c d e"], ["f g h i j"], ["k l m n o"]] * 4
    study = [row[0] for row in references]
    other = [text if i % 3 else "x y z" for i, text in enumerate(study)]
    full, less = (evaluate(texts, references, ["bleu4"])["metrics"] for texts in (study, other))
    replicates = {"bleu4": [full["bleu4"].pop("replicates")]}
    found = deployed_scores.of_runtime(other, references, {}, 1, full, replicates)["bleu4"]
    expected = less["bleu4"]["value"] - full["bleu4"]["value"]
    assert found["value"] == less["bleu4"]["value"] and found["difference"]["value"] == pytest.approx(expected)
    rows = np.array(less["bleu4"]["replicates"]) - np.array(replicates["bleu4"][0])
    assert found["difference"]["interval"] == pytest.approx(interval([expected], [rows.tolist()]))
    same = deployed_scores.of_runtime(study, references, {}, 1, full, replicates)["bleu4"]
    assert same["difference"] == {"value": 0, "interval": [0, 0]}


def test_memory_is_that_of_a_process_of_its_own(tmp_path):
    before = resident()
    block = bytearray(50_000_000)
    block[::4096] = b"x" * len(block[::4096])
    assert resident() >= before and resident("VmRSS") > 50_000_000
    request = {"runtime": "transformers", "device": "cpu", "threads": 1}
    request |= dict.fromkeys(("folder", "miniature"), str(tmp_path))
    with pytest.raises(UserError, match=r"memory could not be measured.*ended with status 1"):
        footprint(request | {"sources": [[4, 5]], "sampling": vars(GREEDY)})


@pytest.mark.parametrize("family", CONVERTIBLE)
def test_a_miniature_runs_by_every_runtime_and_is_of_the_same_vocabulary(family):
    made = convertible(family)
    before = torch.get_rng_state()
    small = miniature(made.model)
    assert torch.equal(torch.get_rng_state(), before)
    assert deployment.parameters(small)["all"] < deployment.parameters(made.model)["all"]
    assert small.module.config.vocab_size == made.model.module.config.vocab_size
    contenders, reasons = deployment.contenders(small, small, GREEDY)
    assert not reasons
    assert all(contender.answer(tiny.random_pairs(made, 2)[0], GREEDY) for contender in contenders.values())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = Study(tmp_path_factory.mktemp("study"))
    study.prepare()
    for stage in ("finetune_teacher", "sample_teacher", "sample_teacher test", "init_student", "distill", "generate"):
        run(*study.command(stage))
    script, *arguments = study.command("score")
    run(script, *["bleu1" if part == "bleu4" else part for part in arguments])
    return study


def measure(study, output, *more, task=None, fails=False):
    inputs = ["--model", study.student, "--teacher", study.teacher, "--test", study.test, "--score", study.score]
    place = ["--task", task or study.task, "--method", study.method, "--seed", 1, "--device", "cpu"]
    small = ["--inputs", 2, "--batches", 1, "--batch", 3, *TEXT, "--max-new-tokens", 8, *more]
    return run("deployment", *inputs, *place, *small, "--output", output, fails=fails)


def test_the_script_writes_what_the_tables_read(study, tmp_path):
    measure(study, tmp_path / "d.json")
    content = json.loads((tmp_path / "d.json").read_text())
    assert mistake(content, DEPLOYMENT_FILE) is None and content["lineage"]["method"] == study.method
    full = content["runtimes"][FULL]
    score = json.loads(study.score.read_text())["metrics"]["bleu1"]
    assert full["scores"]["bleu1"]["value"] == score["value"] and full["scores"]["bleu1"]["difference"] is None
    assert full["weights_bytes"] == (study.student / "model.safetensors").stat().st_size
    plain = content["runtimes"][FLOAT32]
    assert plain["scores"]["bleu1"]["value"] == pytest.approx(score["value"]) and plain["differs"] == []
    memory = [content["runtimes"][name]["memory"]["bytes"] for name in RUNTIMES]
    assert all(0 <= count < 4_000_000 for count in memory)  # a model of 23 KB; the libraries would be tens of MB
    assert content["machine"]["threads"] == 1 and content["decoding"]["max_new_tokens"] == 8


def test_files_of_another_task_are_refused(study, tmp_path):
    assert "another task" in measure(study, tmp_path / "d.json", task="other", fails=True)
