"""Metrics against hand computations and the libraries called directly; missing metrics and refused input."""

import subprocess
import sys

import pytest
from fdistill.evaluation.metrics import METRICS, evaluate
from fdistill.runtime.errors import UserError
from metric_examples import ENCODER, HYPOTHESES, REFERENCES, naive_bleu, value


@pytest.mark.parametrize(("metric", "order"), [("bleu1", 1), ("bleu2", 2), ("bleu4", 4)])
def test_bleu_is_the_definition_with_unequal_numbers_of_references(metric, order):
    assert value(metric) == pytest.approx(naive_bleu(order), abs=1e-9)


def test_bleu_options_reach_sacrebleu():
    assert value("bleu1", ["A B C"], [["a b c"]]) == 0
    assert value("bleu1", ["A B C"], [["a b c"]], {"lowercase": True}) == pytest.approx(100)


def test_ter_by_hand():
    # One substitution of four words; then the better of two references (one deletion), whose lengths 3 and 5
    # average to 4: 100 * (1 + 1) / (4 + 4).
    hypotheses, references = ["a b c d", "p q r s"], [["a x c d"], ["p q r", "v w x y z"]]
    assert value("ter", hypotheses, references) == pytest.approx(25.0)


def test_per_by_hand():
    # One substitution of three phonemes, and one insertion beside two.
    hypotheses, references = ["K AE T", "D AO G", ""], [["K AH T"], ["D AO"], ["AY", "AY B"]]
    assert value("per", hypotheses[:2], references[:2]) == pytest.approx(100 * 2 / 5)
    # The empty output is one edit from the shorter reference, which counts: 3 edits of 3 + 2 + 1 phonemes.
    assert value("per", hypotheses, references) == pytest.approx(100 * 3 / 6)
    assert value("per", ["K AE T S S", "K AE"], [["K"], ["K AE"]]) == pytest.approx(100 * 4 / 3)


def test_per_of_references_that_are_equally_near_counts_the_longest():
    references = ["K T", "K AE T S", "AA AA AA AA AA AA AA"]  # one edit from two of them, far from the third
    for order in (references, references[::-1]):
        assert value("per", ["K AE T"], [order]) == pytest.approx(100 / 4)


def test_wer_of_pronunciation_is_the_share_of_words_with_any_error():
    hypotheses = ["K AE T", "D AO", "K AE", ""]
    references = [["K AH T", "K AE T"], ["D AO G"], ["K AE T"], ["AY"]]
    assert value("wer", hypotheses, references) == pytest.approx(75)
    assert value("wer", [" K  AE T"], [["K AE T"]]) == 0  # blanks are those of the text, as for every metric


def test_chrf_is_sacrebleu_called_per_input():
    from sacrebleu.metrics import CHRF

    for hypothesis, several in zip(HYPOTHESES, REFERENCES, strict=True):
        expected = CHRF().corpus_score([hypothesis], [[reference] for reference in several]).score
        assert value("chrf", [hypothesis], [several]) == pytest.approx(expected)


def test_rouge_by_hand_takes_the_best_reference():
    # Stems match (reading/reads). rouge1: 3 of 4 hypothesis words, 3 of 3 reference words -> F1 6/7.
    hypotheses, references = ["she reading old books"], [["nothing alike", "she reads book"]]
    assert value("rouge1", hypotheses, references) == pytest.approx(100 * 6 / 7)
    # rouge2: (she, read) is 1 of 3 and 1 of 2 -> F1 0.4; rougeL as rouge1, the words being in order.
    assert value("rouge2", hypotheses, references) == pytest.approx(40.0)
    assert value("rougeL", hypotheses, references) == pytest.approx(100 * 6 / 7)
    assert value("rougeL", ["books she reading"], [["she reads book"]]) == pytest.approx(100 * 2 / 3)


@pytest.mark.parametrize("metric", ["bleu4", "chrf", "rougeL"])
def test_empty_hypotheses_score_nothing(metric):
    assert value(metric, ["", ""], [["a b c d e"], ["f"]]) == 0


def test_a_missing_metric_says_so_and_has_no_number():
    result = evaluate(HYPOTHESES, REFERENCES, ["bleurt", "bleu4"], {"bleurt": {"model": None}})["metrics"]
    assert result["bleurt"]["value"] is None and result["bleurt"]["signature"] is None
    assert METRICS["bleurt"].title in result["bleurt"]["missing"]["reason"]
    assert "bleurt.model" in result["bleurt"]["missing"]["fix"]
    assert result["bleu4"]["missing"] is None


@pytest.mark.parametrize(
    ("hypotheses", "references", "metrics", "options", "message"),
    [
        (["a"], [["a"]], ["blue4"], {}, r"unknown metric 'blue4'; did you mean 'bleu4'\?"),
        (["a"], [["a"]], ["bleu4"], {"bertscor": {}}, "did you mean 'bertscore'"),
        (
            ["a"],
            [["a"]],
            ["bleu4"],
            {"bleu4": {"lowercas": 1}},
            r"unknown option 'lowercas'; did you mean 'lowercase'\?",
        ),
        (["a"], [["a"]], ["ter"], {"ter": {"x": 1}}, "unknown option 'x'; known: lowercase, tokenizer, max_references"),
        (["a"], [["a"]], ["ter"], {"ter": {"tokenizer": "foo"}}, '"foo" is not allowed; must be one of none, words'),
        (["a"], [["a"]], ["ter"], {"ter": {"max_references": 0}}, "0 is not allowed; must be an integer >= 1"),
        (["a"], [["a"]], ["moverscore"], {}, "option 'model' is missing"),
        ([], [], ["bleu4"], {}, "no hypotheses .* run rule generate again"),
        (["a"], [["a"], ["b"]], ["bleu4"], {}, "1 hypotheses but 2 inputs .* run rule generate"),
        (["a", "b"], [["a"], []], ["bleu4"], {}, "row 1 .* no reference"),
        (["a"], [["a"]], [], {}, "no metric is given; known: bleu1"),
        (["a"], [["a"]], ["bertscore"], {}, "option 'model' is missing"),
        (
            ["a"],
            [["a"]],
            ["bertscore"],
            {"bertscore": {"model": ENCODER["model"]}},
            "'num_layers' is missing",
        ),
        (["a"], [["a"]], ["bertscore"], {"bertscore": ENCODER | {"num_layers": 7}}, "between 0 and 6"),
    ],
)
def test_refusals(hypotheses, references, metrics, options, message):
    with pytest.raises(UserError, match=message):
        evaluate(hypotheses, references, metrics, options)


def test_torch_is_not_imported_for_other_metrics():
    code = (
        "import sys; from fdistill.evaluation.metrics import evaluate; "
        "evaluate(['a b c d'], [['a b c d']], ['bleu4', 'chrf', 'ter', 'bleurt']); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'pandas', 'bert_score')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
