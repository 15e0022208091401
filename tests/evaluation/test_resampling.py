"""Bootstrap replicates, their intervals and paired tests, against scipy, sacrebleu and enumeration."""

import random

import numpy as np
import pytest
from fdistill.evaluation import resampling
from fdistill.evaluation.metrics import evaluate
from scipy import stats


def test_interval_of_a_mean_is_scipys_bootstrap():
    values = np.random.default_rng(0).gamma(2.0, size=300)
    ours = resampling.interval([100 * values.mean()], [resampling.replicate_mean(values, scale=100)])
    scipys = stats.bootstrap((100 * values,), np.mean, n_resamples=5000, method="percentile", rng=1)
    assert ours == pytest.approx(list(scipys.confidence_interval), abs=0.02 * (ours[1] - ours[0]) + 1)
    assert ours[1] - ours[0] == pytest.approx(2 * 1.96 * 100 * values.std() / 300**0.5, rel=0.05)


def test_replicates_of_all_systems_are_over_the_same_inputs():
    values = np.random.default_rng(0).normal(size=50)
    shifted = np.subtract(resampling.replicate_mean(values + 1), resampling.replicate_mean(values))
    assert shifted == pytest.approx(np.ones(resampling.REPLICATES))


def test_replicates_of_two_inputs_are_the_three_that_there_are():
    found = np.unique(np.round(resampling.replicate_mean([0.0, 1.0]), 9), return_counts=True)
    assert found[0].tolist() == [0.0, 0.5, 1.0]
    assert found[1] / resampling.REPLICATES == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


SEEDS = [1.0, 2.5, 2.0, 1.5, 4.0]


def test_without_variance_over_inputs_seeds_are_a_sample_for_students_t():
    mean, error = np.mean(SEEDS), stats.sem(SEEDS)
    low_high = stats.t.interval(0.95, df=4, loc=mean, scale=error)
    assert resampling.interval(SEEDS, [[mean] * 100] * 5) == pytest.approx(low_high)
    assert resampling.p_value(SEEDS, [[mean] * 100] * 5) == pytest.approx(stats.ttest_1samp(SEEDS, 0.0).pvalue)


def test_without_variance_over_seeds_inputs_alone_count():
    replicates = np.random.default_rng(0).normal(3.0, 1.5, size=5000)
    assert resampling.interval([3.0] * 5, [replicates] * 5) == pytest.approx([3 - 1.96 * 1.5, 3 + 1.96 * 1.5], abs=0.1)
    assert resampling.p_value([3.0] * 5, [replicates] * 5) == pytest.approx(2 * stats.norm.sf(3.0 / 1.5), abs=0.01)


def test_variances_over_seeds_and_inputs_add_up():
    """The p-value and the interval agree: 0 is at the end of a difference's interval when p is 0.05."""
    replicates = np.random.default_rng(0).normal(0.0, 0.5, size=5000)
    centred = np.subtract(SEEDS, np.mean(SEEDS))
    low, high = resampling.interval(centred, [replicates] * 5)
    assert high == pytest.approx(-low) and high > stats.t.isf(0.025, 4) * stats.sem(SEEDS)
    assert resampling.p_value(centred + high, [replicates + high] * 5) == pytest.approx(0.05)


@pytest.mark.parametrize(("over_seeds", "over_inputs"), [(1.0, 0.0), (1.0, 0.5), (0.3, 1.0)])
def test_equal_systems_differ_significantly_as_often_as_they_should(over_seeds, over_inputs):
    """Five seeds. A bootstrap over them would find 15 % of the pairs that differ by their seeds alone."""
    generator = np.random.default_rng(1)
    of_inputs = generator.normal(0, over_inputs, size=300)
    spread = generator.normal(0, over_inputs, size=100)
    p_values = [
        resampling.p_value(shift + generator.normal(0, over_seeds, size=5), [shift + spread] * 5) for shift in of_inputs
    ]
    assert 0.01 < np.mean(np.array(p_values) < 0.05) < 0.085


@pytest.mark.parametrize("seeds", [2, 5])
def test_what_a_seed_changes_on_single_inputs_counts_once(seeds, monkeypatch):
    """Equal systems whose errors are independent from seed to seed, as in both variances."""
    monkeypatch.setattr(resampling, "REPLICATES", 300)
    generator = np.random.default_rng(2)
    p_values = []
    for _ in range(200):
        differences = generator.normal(0.0, 1.0, size=(seeds, 150))
        replicates = [resampling.replicate_mean(of_seed) for of_seed in differences]
        p_values.append(resampling.p_value(differences.mean(axis=1), replicates))
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.095


def test_p_value_agrees_with_the_paired_t_test():
    generator = np.random.default_rng(3)
    for shift in (0.0, 0.05, 0.1, 0.2):
        differences = generator.normal(shift, 1.0, size=400)
        replicates = resampling.replicate_mean(differences)
        expected = stats.ttest_1samp(differences, 0.0).pvalue
        assert resampling.p_value([differences.mean()], [replicates]) == pytest.approx(expected, abs=0.03)


def test_p_value_without_variance():
    assert resampling.p_value([0.0], [[0.0] * 99]) == 1.0
    assert resampling.p_value([5.0], [[5.0] * 99]) == pytest.approx(1 / 100)
    assert resampling.p_value([0.0] * 3, [[0.0] * 99] * 3) == 1.0
    assert resampling.p_value([5.0] * 3, [[5.0] * 99] * 3) == 0.0  # no variance at all


def test_holm_by_hand():
    assert resampling.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert resampling.holm([0.9, 0.8]) == [1.0, 1.0]
    assert resampling.holm([]) == []


def texts(n):
    """Hypotheses of which some words are wrong, and one or two references each."""
    chance = random.Random(0)
    words = ["the", "a", "cat", "dog", "sits", "runs", "on", "under", "mat", "tree", "quickly", "slowly", "red", "blue"]
    references = [[" ".join(chance.choices(words, k=9)) for _ in range(1 + i % 2)] for i in range(n)]
    hypotheses = [" ".join(w if chance.random() < 0.7 else "bird" for w in r[0].split()) for r in references[1:]]
    hypotheses.insert(0, references[0][0])  # a perfect match, which METEOR treats on its own
    return hypotheses, references


@pytest.mark.parametrize("metric", ["bleu4", "bleu1", "chrf", "ter", "rouge1", "rougeL", "per", "wer", "meteor"])
def test_replicates_of_a_metric_are_its_values_on_the_sampled_inputs(metric, monkeypatch):
    """The metric itself on the inputs of the first replicates, repeated as often as they were sampled."""
    monkeypatch.setattr(resampling, "REPLICATES", resampling.CHUNK)
    hypotheses, references = texts(40)
    entry = evaluate(hypotheses, references, [metric])["metrics"][metric]
    samples = np.random.default_rng(resampling.SEED).integers(40, size=(resampling.CHUNK, 40))
    for chosen, value in zip(samples[:2], entry["replicates"], strict=False):
        again = evaluate([hypotheses[i] for i in chosen], [references[i] for i in chosen], [metric])
        assert again["metrics"][metric]["value"] == pytest.approx(value, rel=1e-9)
    low, high = resampling.interval([entry["value"]], [entry["replicates"]])
    assert low < entry["value"] < high and len(entry["replicates"]) == resampling.REPLICATES
