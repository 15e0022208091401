"""Texts of several lines: one rule for both sides, and the sentences that ROUGE-L of summaries keeps apart."""

import pytest
from fdistill.evaluation.metrics import METRICS, evaluate, texts
from rouge_score.rouge_scorer import RougeScorer

SENTENCES = ["The cat sat on the mat.", "A dog barked at it!", "Then both of them slept."]


def entry(metric, hypothesis, reference, **options):
    return evaluate([hypothesis], [[reference]], [metric], {metric: options})["metrics"][metric]


@pytest.mark.parametrize("metric", ["bleu1", "bleu4", "chrf", "rouge1", "rouge2", "rougeL", "rougeLsum"])
def test_line_breaks_are_spaces_on_both_sides(metric):
    for hypothesis in ("a well- known  place", "a well-\nknown place\n", "a well-\r\n known\u2028place"):
        for reference in ("a well-\nknown place", "a well- known place"):
            assert entry(metric, hypothesis, reference)["value"] == pytest.approx(100), (hypothesis, reference)


@pytest.mark.parametrize("separator", ["\n", " "])
def test_sentences_in_another_order_are_apart_for_rougelsum_alone(separator):
    hypothesis, reference = " ".join(reversed(SENTENCES)), separator.join(SENTENCES)
    scorer = RougeScorer(["rougeL", "rougeLsum"], use_stemmer=True)
    expected = scorer.score("\n".join(SENTENCES), "\n".join(reversed(SENTENCES)))
    for metric in expected:
        assert entry(metric, hypothesis, reference)["value"] == pytest.approx(100 * expected[metric].fmeasure)
    assert entry("rougeLsum", hypothesis, reference)["value"] == pytest.approx(100)
    assert entry("rougeL", hypothesis, reference)["value"] < 60
    assert entry("rougeLsum", hypothesis, reference)["signature"].startswith("rougeLsum|")
    assert METRICS["rougeLsum"].title == "ROUGE-Lsum" != METRICS["rougeL"].title


def test_options_leave_sentences_apart():
    hypothesis, reference = " ".join(reversed(SENTENCES)).upper(), "\n".join(SENTENCES)
    for tokenizer in ("none", "words", "treebank", "unicode"):
        assert entry("rougeLsum", hypothesis, reference, lowercase=True, tokenizer=tokenizer)["value"] > 99


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two? Three!", ["One.", "Two?", "Three!"]),
        ("First point .\n\nSecond point", ["First point .", "Second point"]),  # lines need no full stop
        ('He said "yes." Then (as ever.) 3 more.', ['He said "yes."', "Then (as ever.)", "3 more."]),
        ("It weighs 3.5 kg, i.e. a little", ["It weighs 3.5 kg, i.e. a little"]),
        ("El a spus. Și apoi?", ["El a spus.", "Și apoi?"]),
        ("", [""]),
    ],
)
def test_sentences(text, sentences):
    assert texts.sentences(text) == sentences
