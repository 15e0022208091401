"""The options that all metrics share, and several references in BLEU, TER and ROUGE."""

import math
import random
from collections import Counter

import pytest
from fdistill.evaluation.metrics import evaluate
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import TER

SENTENCE = "the a cat dog sat on mat of house red blue , . and it is was in"


def entry(metric, hypotheses, references, options=None, threads=1):
    return evaluate(hypotheses, references, [metric], {metric: options or {}}, threads)["metrics"][metric]


def corpus(size, seed=0):
    """Random sentences, and one to three references that share most of their words, of quite different lengths."""
    rng = random.Random(seed)
    hypotheses, references = [], []
    for _ in range(size):
        words = rng.choices(SENTENCE.split(), k=rng.randint(3, 14))
        hypotheses.append(" ".join(words))
        several = []
        for _ in range(rng.randint(1, 3)):
            other = [word for word in words if rng.random() > 0.2] + rng.choices(SENTENCE.split(), k=rng.randint(0, 24))
            rng.shuffle(other[len(other) // 2 :])
            several.append(" ".join(other))
        references.append(several)
    return hypotheses, references


def multi_bleu(hypotheses, references, streams):
    """BLEU as multi-bleu.perl documents it, on separated words: a file per reference, an empty line for a missing one.

    The brevity penalty uses the line that is closest in length, the shorter of two.
    """
    correct, total = Counter(), Counter()
    length = reference_length = 0
    for hypothesis, several in zip(hypotheses, references, strict=True):
        words = hypothesis.split()
        lines = [line.split() for line in [*several, *[""] * (streams - len(several))]]
        length += len(words)
        reference_length += min((abs(len(line) - len(words)), len(line)) for line in lines)[1]
        for n in range(1, 5):
            grams = Counter(zip(*(words[i:] for i in range(n)), strict=False))
            most = Counter()
            for line in lines:
                most |= Counter(zip(*(line[i:] for i in range(n)), strict=False))
            correct[n] += (grams & most).total()
            total[n] += grams.total()
    brevity = min(0.0, 1 - reference_length / length)
    return 100 * math.exp(brevity + sum(math.log(correct[n] / total[n]) for n in range(1, 5)) / 4)


@pytest.mark.parametrize("seed", range(5))
def test_bleu_with_empty_references_is_multi_bleu(seed):
    hypotheses, references = corpus(60, seed)
    options = {"tokenize": "none", "missing_references": "empty"}
    score = entry("bleu4", hypotheses, references, options)
    assert score["value"] == pytest.approx(multi_bleu(hypotheses, references, 3), abs=1e-9)
    assert "|missing-refs:empty" in score["signature"] and "tok:none" in score["signature"]


def test_bleu_ignores_missing_references_by_default():
    hypotheses, references = corpus(60)
    ignored = entry("bleu4", hypotheses, references, {"tokenize": "none"})
    empty = entry("bleu4", hypotheses, references, {"tokenize": "none", "missing_references": "empty"})
    assert "|missing-refs:ignore" in ignored["signature"]
    assert empty["value"] > ignored["value"] + 0.1  # the brevity penalty is milder
    one = [several[:1] for several in references]
    assert entry("bleu4", hypotheses, one)["value"] == pytest.approx(
        entry("bleu4", hypotheses, one, {"missing_references": "empty"})["value"]
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_ter_in_parallel_is_corpus_ter(threads):
    hypotheses, references = corpus(70)
    hypotheses[3] = ""
    streams = [[several[i] if i < len(several) else None for several in references] for i in range(3)]
    metric = TER()
    expected = metric.corpus_score(hypotheses, streams).score
    score = entry("ter", hypotheses, references, threads=threads)
    assert score["value"] == expected  # to the last bit
    assert score["signature"] == f"TER|{metric.get_signature()}"


def test_ter_of_nothing():
    assert entry("ter", [""], [[""]])["value"] == 0
    assert entry("ter", ["a"], [[""]])["value"] == 100
    assert "nrefs:1" in entry("ter", ["a"], [["a"]])["signature"]


@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rougeL"])
def test_rouge_takes_the_best_of_several_references(kind):
    hypotheses, references = corpus(20)
    scorer = RougeScorer([kind], use_stemmer=True)
    pairs = zip(hypotheses, references, strict=True)
    best = [max(scorer.score(r, h)[kind].fmeasure for r in several) for h, several in pairs]
    assert entry(kind, hypotheses, references)["value"] == pytest.approx(100 * sum(best) / len(best))


def test_words_are_separated_as_in_darts_evaluation():
    # "Dr. O'Neil's 3.5-litre Café_x!" by hand: every character that \W matches stands alone, _ is none of them.
    hypothesis, separated = ["Dr.  O'Neil's 3.5-litre Café_x!"], [["dr . o ' neil ' s 3 . 5 - litre café_x !"]]
    options = {"tokenizer": "words", "lowercase": True, "tokenize": "none"}
    score = entry("bleu4", hypothesis, separated, options)
    assert score["value"] == pytest.approx(100)
    assert score["signature"].endswith("|words:words|lowercase") and "case:lc" in score["signature"]
    assert entry("bleu4", hypothesis, separated, options | {"lowercase": False})["value"] < 90


def test_words_are_separated_as_nltk_does():
    hypothesis = ["I can't. It's Mr. Lee's, isn't it?  Yes!"]
    separated = [["I ca n't . It 's Mr . Lee 's , is n't it ? Yes !"]]
    score = entry("bleu1", hypothesis, separated, {"tokenizer": "treebank", "tokenize": "none"})
    assert score["value"] == pytest.approx(100)
    assert score["signature"].endswith("|words:treebank")


@pytest.mark.parametrize("metric", ["bleu4", "ter", "chrf", "rouge1"])
def test_the_first_references_only(metric):
    hypotheses, references = corpus(20)
    first = [several[:2] for several in references]
    score = entry(metric, hypotheses, references, {"max_references": 2})
    assert score["value"] == entry(metric, hypotheses, first)["value"]
    assert score["value"] != entry(metric, hypotheses, references)["value"]
    assert score["signature"].endswith("|first-refs:2")


def test_chrf_in_lower_case_says_so():
    assert entry("chrf", ["ABC"], [["abc"]])["value"] == 0
    score = entry("chrf", ["ABC"], [["abc"]], {"lowercase": True})
    assert score["value"] == pytest.approx(100) and "case:lc" in score["signature"]
