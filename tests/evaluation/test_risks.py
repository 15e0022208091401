"""Risks and diversity against computations per example, and the samples and outputs of `sampling.offline`."""

import math

import pytest
import tiny
import torch
from fdistill.data.batches import source_batch
from fdistill.evaluation import risks
from fdistill.losses.inputs import IGNORE
from fdistill.runtime.errors import UserError
from fdistill.sampling import offline
from fdistill.sampling.sampler import SamplingConfig, as_labels, mode_settings


@pytest.fixture
def pair(family):
    return tiny.checkpoint(family, seed=1), tiny.checkpoint(family, seed=2)


@torch.no_grad()
def test_risks_against_single_examples(pair):
    """R_llh: the student's samples under the teacher; R_cvg: the teacher's samples under the student."""
    teacher, student = pair
    sources, by_student = tiny.random_pairs(teacher, 7, seed=1)
    _, by_teacher = tiny.random_pairs(teacher, 7, seed=2)
    measured = risks.risks(student.model, teacher.model, sources, by_student, by_teacher, batch_size=3)
    expected = {}
    for name, judge, samples in (("r_llh", teacher, by_student), ("r_cvg", student, by_teacher)):
        whole = [tiny.reference_nll(judge.model, s, y).item() for s, y in zip(sources, samples, strict=True)]
        expected[f"{name}_sequence"] = whole
        expected[f"{name}_token"] = [value / len(sample) for value, sample in zip(whole, samples, strict=True)]
    assert measured.keys() == expected.keys()
    for name, values in expected.items():
        assert measured[name] == pytest.approx(values, rel=1e-4)


def test_risks_are_measured_without_dropout(family):
    student = tiny.checkpoint(family, **tiny.DROPOUT[family])
    sources, targets = tiny.random_pairs(student, 4)
    student.model.module.train()
    values = [offline.sequence_nlls(student.model, sources, targets, 4, "nll") for _ in range(2)]
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("samples", "percent"),
    [
        ([[1, 2, 3]], 100.0),  # 12 23
        ([[1, 2, 1, 2]], 100 * 2 / 3),  # 12 21 12
        ([[1, 2, 3], [1, 2, 4]], 75.0),  # 12 23 12 24
        ([[1, 2], [2, 1]], 100.0),  # order matters
        ([[1, 1, 1, 1, 1]], 25.0),
        ([[1, 2], [3], []], 100.0),  # no bi-gram crosses from one sample to the next
        ([[1], []], None),
        ([], None),
    ],
)
def test_distinct_bigrams_by_hand(samples, percent):
    assert risks.distinct_bigrams(samples) == (None if percent is None else pytest.approx(percent))


def test_a_risk_that_is_not_finite_names_the_model():
    """Weights that are not numbers once led to a bare NaN in the file, with exit status 0."""
    teacher, student = tiny.checkpoint("gpt2"), tiny.checkpoint("gpt2", seed=1)
    sources, samples = tiny.random_pairs(teacher, 3)
    with torch.no_grad():
        next(student.model.module.parameters()).fill_(math.nan)
    with pytest.raises(UserError, match=r"r_cvg: the student's log-probability .* \(row 0 of the test split\)"):
        risks.risks(student.model, teacher.model, sources, samples, samples, 2)


def test_teacher_dist_has_a_value_per_input():
    """And not over bi-grams: an input with long samples weighs no more; one without bi-grams does not count."""
    by_input = [[[1, 1, 1, 1, 1, 0]], [[1, 2]], [[3, 0]]]
    assert risks.teacher_dist(by_input, ends=[0]) == [25, 100]


# --- samples and outputs over a whole split


@torch.no_grad()
def test_samples_have_their_own_log_probability(pair):
    teacher, _ = pair
    sources, _ = tiny.random_pairs(teacher, 5)
    ids = [f"x{i}" for i in range(5)]
    arguments = (teacher.model, ids, sources, SamplingConfig(6), 2, 3)
    columns = offline.sample_sequences(*arguments, seed=1)
    assert columns["id"] == [i for i in ids for _ in range(2)] and columns["sample"] == [0, 1] * 5
    for row, (tokens, log_prob) in enumerate(zip(columns["tokens"], columns["log_prob"], strict=True)):
        expected = -tiny.reference_nll(teacher.model, sources[row // 2], tokens).item()
        assert log_prob == pytest.approx(expected, rel=1e-4)
        assert columns["finished"][row] == (tokens[-1] == teacher.model.eos_token_id)
        assert finished_or_full(columns, row)
    assert offline.sample_sequences(*arguments, seed=1) == columns
    assert offline.sample_sequences(*arguments, seed=2)["tokens"] != columns["tokens"]
    assert any(columns["tokens"][2 * i] != columns["tokens"][2 * i + 1] for i in range(5))


def finished_or_full(columns, row):
    return columns["finished"][row] or len(columns["tokens"][row]) == 6


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("beam", {"num_beams": 3}),
        ("top_k", {"top_k": 2}),
        ("nucleus", {"top_p": 0.6}),
        ("beam_sample", {"num_beams": 2}),
    ],
)
def test_sampling_modes(pair, mode, options):
    """Each is transformers' mode of that name; the log-probability is the model's own."""
    teacher, _ = pair
    sources, _ = tiny.random_pairs(teacher, 6)
    columns = offline.sample_sequences(
        teacher.model, list("abcdef"), sources, SamplingConfig(5, mode, options), 1, 4, seed=3
    )
    for source, tokens, log_prob in zip(sources, columns["tokens"], columns["log_prob"], strict=True):
        with torch.no_grad():
            log_probs = tiny.reference_log_probs(teacher.model, source, tokens)
        assert log_prob == pytest.approx(sum(log_probs[t, y].item() for t, y in enumerate(tokens)), rel=1e-4)
        for t, token in enumerate(tokens):
            p = log_probs[t].exp()
            if mode == "top_k":
                assert (p > p[token]).sum() < 2
            if mode == "nucleus":
                assert p[p > p[token]].sum() < 0.6
    if mode == "beam":
        again = offline.sample_sequences(
            teacher.model, list("abcdef"), sources, SamplingConfig(5, mode, options), 1, 2, seed=4
        )
        assert again["tokens"] == columns["tokens"]


@pytest.mark.parametrize(
    ("mode", "options", "message"),
    [
        ("greedy", {}, "unknown sampling mode 'greedy'.*ancestral"),
        ("top_k", {}, "needs top_k"),
        ("beam", {}, "num_beams"),
    ],
)
def test_impossible_modes_are_refused(mode, options, message):
    with pytest.raises(UserError, match=message):
        mode_settings(mode, options)


def test_generated_texts_are_in_source_order_and_clean(pair):
    teacher, _ = pair
    sources, _ = tiny.random_pairs(teacher, 7)
    decoding = {"max_new_tokens": 5, "num_beams": 2}
    columns = offline.generate_texts(teacher.model, teacher.tokenizer, sources, decoding, 3, 0)
    for row, source in enumerate(sources):  # alone
        ids = teacher.model.generate(source_batch(teacher.model, [source]), do_sample=False, **decoding)
        samples = as_labels(ids, teacher.model.ends)
        tokens = samples.labels[0][samples.labels[0] != IGNORE]
        assert columns["hypothesis"][row] == " ".join(
            teacher.tokenizer.decode(tokens, skip_special_tokens=True).split()
        )
        assert columns["n_tokens"][row] == len(tokens)
        assert columns["finished"][row] == samples.finished.item()
    # The token <unk> has no role in the tokenizers of decoder-only models here, and is text.
    assert "<" not in "".join(columns["hypothesis"]).replace("<unk>", "")
