"""Metrics that count shared words and characters: BLEU, chrF, TER (sacrebleu) and ROUGE (rouge-score)."""

from itertools import zip_longest
from typing import Any

from fdistill.evaluation.metrics.score import Score, release


def bleu(hypotheses: list[str], references: list[list[str]], options: dict, *, order: int) -> Score:
    """Corpus BLEU with n-grams up to `order`, 0-100. Options: `lowercase`, `tokenize` (as sacrebleu's).

    Source: Papineni et al. 2002, as Post 2018 fixes it.
    """
    from sacrebleu.metrics import BLEU

    return _sacrebleu(BLEU(max_ngram_order=order, **options), f"BLEU-{order}", hypotheses, references)


def chrf(hypotheses: list[str], references: list[list[str]], options: dict) -> Score:
    """Corpus chrF2 (character 6-grams, recall counts twice), 0-100. Source: Popovic 2015."""
    from sacrebleu.metrics import CHRF

    return _sacrebleu(CHRF(), "chrF2", hypotheses, references)


def ter(hypotheses: list[str], references: list[list[str]], options: dict) -> Score:
    """Corpus TER: edits and shifts per 100 reference words; can exceed 100. Source: Snover et al. 2006."""
    from sacrebleu.metrics import TER

    return _sacrebleu(TER(), "TER", hypotheses, references)


def _sacrebleu(metric: Any, name: str, hypotheses: list[str], references: list[list[str]]) -> Score:
    # sacrebleu takes one stream per reference position, all of the corpus's length. Inputs with fewer
    # references are filled up with None, which it leaves out; an empty string would count as a reference of
    # length 0: the closest reference length of BLEU and the best match of TER could then be that one.
    streams = [list(stream) for stream in zip_longest(*references)]
    value = metric.corpus_score(hypotheses, streams).score
    return Score(value, f"{name}|{metric.get_signature()}")


def rouge(hypotheses: list[str], references: list[list[str]], options: dict, *, kind: str) -> Score:
    """Mean over inputs of ROUGE F1 with Porter stemming, x 100; `kind` is rouge1, rouge2 or rougeL.

    With several references the one with the highest F1 counts. Source: Lin 2004.
    """
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    scorer = RougeScorer([kind], tokenizer=DefaultTokenizer(use_stemmer=True))
    total = sum(
        scorer.score_multi(several, hypothesis)[kind].fmeasure
        for hypothesis, several in zip(hypotheses, references, strict=True)
    )
    signature = f"{kind}|measure:f1|stemmer:porter|refs:best|rouge-score:{release('rouge-score')}"
    return Score(100 * total / len(hypotheses), signature)
