"""The benchmark's steps: all implementations do the same work, and the result is complete."""

import pytest
import tiny
import torch
from fdistill.bench import caches, encoders, losses, plain, steps
from fdistill.bench.machine import INSTALL
from fdistill.bench.workload import AS_IN_TEXT, FULL
from fdistill.data.batches import source_batch
from fdistill.data.limits import Limits
from fdistill.losses.inputs import IGNORE
from fdistill.runtime.errors import UserError
from fdistill.sampling.cache_kinds import STATES, TOPK
from fdistill.sampling.sampler import ancestral_sample
from fdistill.training import step_parts
from scipy.stats import chisquare
from workloads import FAMILIES, METHODS, workload_of


def batch_of(bench_steps):
    (batch,) = next(bench_steps.trainer.batches())
    bench_steps.trainer.learner.sample_and_count(batch, 0)
    return batch


@pytest.mark.parametrize("method", steps.with_on_policy(METHODS))
@pytest.mark.parametrize("family", FAMILIES)
def test_both_steps_have_the_same_loss_and_gradient(family, method):
    """On sequences of unequal lengths, in float64."""
    workload = workload_of(family)
    for model in (workload.teacher, workload.student):
        model.module.double()
    bench_steps = steps.Steps(
        workload, method, steps.with_on_policy(METHODS)[method], tiny.settings(batch_size=5), seed=0
    )
    batch = batch_of(bench_steps)
    assert all(len(set((labels != IGNORE).sum(1).tolist())) > 1 for labels in batch.labels.values())
    ours = bench_steps.trainer.learner.add_gradient(batch, batch.counts(), 0)
    gradients = [weight.grad.clone() for weight in bench_steps.trainer.trainable]
    workload.student.module.zero_grad()
    value = bench_steps.plain_loss(batch)
    value.backward()
    assert value.item() == pytest.approx(ours, rel=1e-6) and ours > 0.01  # its softmax is float32
    for gradient, weight in zip(gradients, bench_steps.trainer.trainable, strict=True):
        torch.testing.assert_close(gradient, weight.grad, rtol=1e-5, atol=1e-7)


def test_one_encoder_instead_of_two_has_the_same_loss_in_less_time():
    """The row of a frozen encoder: of a deep encoder and a shallow decoder, a third is saved at least."""
    config = tiny.CONFIGS["bart"] | {"encoder_layers": 8, "d_model": 64, "encoder_ffn_dim": 256}
    config |= {"max_position_embeddings": 128}
    teacher = {"init": "scratch", "vocab_size": 300, "config": config}
    model = {"family": "bart", "teacher": teacher, "student": {"encoder": 1, "decoder": 1}}
    result = encoders.compare(model, Limits(96, 8), tiny.settings(batch_size=16), FULL, repeats=3, seed=1, device="cpu")
    once, twice = (result["steps"][name] for name in (steps.OURS, encoders.TWICE))
    assert result["losses"][steps.OURS] == result["losses"][encoders.TWICE] > 0
    assert twice["times_ours"]["median"] > 1.2 and once["parts"]["teacher"] < twice["parts"]["teacher"]
    assert once["peak_memory_bytes"] <= twice["peak_memory_bytes"] and result["encoder_bytes"] > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_comparison_is_complete(family):
    workload = workload_of(family)
    weights = {name: value.clone() for name, value in workload.student.module.state_dict().items()}
    result = steps.compare(workload, "js", METHODS["js"], tiny.settings(batch_size=5), repeats=2, seed=1)
    assert set(result["steps"]) == set(result["losses"]) == {steps.OURS, steps.PLAIN} and result["missing"] == {}
    for measured in result["steps"].values():
        parts = measured["parts"]
        assert set(parts) == {*step_parts.PARTS, steps.REST} and all(seconds > 0 for seconds in parts.values())
        assert measured["tokens_per_second"] > 0 and measured["peak_memory_bytes"] > 0
        assert measured["seconds"]["min"] <= measured["seconds"]["median"] <= measured["seconds"]["max"]
    assert result["steps"][steps.OURS]["times_ours"] == dict.fromkeys(("median", "min", "max"), 1)
    assert result["losses"][steps.OURS] == pytest.approx(result["losses"][steps.PLAIN], rel=1e-5)
    for name, value in workload.student.module.state_dict().items():  # the weights are restored
        assert torch.equal(value, weights[name])


def test_trl_does_the_same_work_where_it_is_installed():
    pytest.importorskip("trl", reason=f"trl is not installed; {INSTALL}")
    workload = workload_of("gpt2", FULL)
    result = steps.compare(
        workload, steps.ON_POLICY, steps.ON_POLICY_TERMS, tiny.settings(batch_size=5), repeats=1, seed=1
    )
    assert result["missing"] == {} and result["losses"]["trl"] == pytest.approx(result["losses"]["ours"], rel=1e-5)
    assert all(seconds > 0 for seconds in result["steps"]["trl"]["parts"].values())
    assert result["steps"]["trl"]["tokens_per_second"] > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", FAMILIES)
def test_with_a_teacher_cache_the_loss_is_the_same_or_a_lower_bound(family, method):
    workload = workload_of(family)
    result = steps.compare(workload, method, METHODS[method], tiny.settings(batch_size=5), 1, seed=1, top_k=3)
    names = {steps.CACHED[kind] for kind in (STATES, TOPK)}
    assert names | {steps.OURS, steps.PLAIN} == set(result["steps"]) == set(result["losses"])
    whole, states, bound = (result["losses"][name] for name in (steps.OURS, *steps.CACHED.values()))
    assert states == pytest.approx(whole, rel=1e-6) and 0.1 * whole < bound < 0.999 * whole
    for name in names:
        assert result["steps"][name]["seconds"]["median"] > 0 and result["caches"][name]["seconds_per_batch"] > 0
    width = workload.teacher.module.get_output_embeddings().weight.shape[1]
    sizes = {steps.CACHED[STATES]: 4 * width, steps.CACHED[TOPK]: 4 * 3 + 4 * 4}  # float32; int32 and K + 1 floats
    for name, size in sizes.items():
        assert (
            size < result["caches"][name]["bytes_per_token"] < 4 * size
        )  # with such short texts, offsets take the most space


def test_a_step_with_a_teacher_cache_does_not_run_the_teacher_on_what_is_stored():
    workload = workload_of("bart")
    decoded, decode = [], workload.teacher.decode
    workload.teacher.decode = lambda context, labels, hidden=False: (
        decoded.append(labels) or decode(context, labels, hidden)
    )
    with caches.stored(workload, METHODS["js"], tiny.settings(batch_size=5), top_k=3) as stored:
        bench_steps = steps.Steps(workload, "js", METHODS["js"], tiny.settings(batch_size=5), 0, stored)
        (batch,) = next(bench_steps.trainer.batches())
        for name, count in {steps.CACHED[STATES]: 1, steps.CACHED[TOPK]: 1, steps.OURS: 2}.items():
            decoded.clear()
            bench_steps.run(name, batch)
            assert len(decoded) == count, name


def test_a_method_that_has_no_teacher_samples_has_no_cache():
    result = steps.compare(
        workload_of("bart"), steps.ON_POLICY, steps.ON_POLICY_TERMS, tiny.settings(batch_size=5), 1, seed=1, top_k=3
    )
    assert set(result["steps"]) == {steps.OURS, steps.PLAIN} and result["caches"] == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_and_samples_have_the_given_lengths(family):
    full, sampled = workload_of(family, FULL, 40), workload_of(family, AS_IN_TEXT, 40)
    for workload in (full, sampled):
        bench_steps = steps.Steps(workload, "js", METHODS["js"], tiny.settings(batch_size=40), seed=0)
        lengths = {kind: (labels != IGNORE).sum(1) for kind, labels in batch_of(bench_steps).labels.items()}
        if workload is full:
            assert all((counts == 10).all() for counts in lengths.values())
        else:
            targets = sum(len(target) for target in workload.data.train.targets) / len(workload.data.train)
            assert 3 < targets < 6 and 2 < lengths["student_samples"].float().mean() < 8


@pytest.mark.parametrize("family", FAMILIES)
def test_both_sample_from_the_model(family):
    """2,000 sequences each of at most two tokens for one source, against their exact probabilities."""
    checkpoint = tiny.checkpoint(family, seed=1)
    source = tiny.random_pairs(checkpoint, 1)[0][0]
    batch, eos = source_batch(checkpoint.model, [source] * 2000), checkpoint.model.eos_token_id
    torch.manual_seed(0)
    sampled = {
        steps.OURS: ancestral_sample(checkpoint.model, batch, 2, [7]).labels,
        steps.PLAIN: plain.sample(checkpoint.model.module.eval(), batch.input_ids, batch.attention_mask, 2),
    }
    vocabulary = range(checkpoint.model.module.config.vocab_size)
    expected = {}
    with torch.no_grad():
        for first in vocabulary:
            p = tiny.reference_log_probs(checkpoint.model, source, [first, 0]).double().exp()
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


@pytest.mark.parametrize("method", steps.with_on_policy(METHODS))
def test_the_losses_alone_are_the_same(method):
    result = losses.compare(method, steps.with_on_policy(METHODS)[method], 24, 8, 50, 1, "cpu", seed=0)
    values = [entry["value"] for entry in result["losses"].values()]
    assert len(values) == 2 and values[0] == pytest.approx(values[1], rel=1e-5) and values[0] > 0.01
    assert result["missing"] == ({"liger": "its kernels need a GPU"} if method == steps.ON_POLICY else {})


def test_a_method_without_a_plain_recipe_is_refused():
    with pytest.raises(UserError, match="implements js and tvd, not kl"):
        steps.check_methods({"js": [], "kl": []})
