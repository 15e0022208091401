"""Metrics that count shared words and characters: BLEU, chrF, TER (sacrebleu) and ROUGE (rouge-score)."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import zip_longest
from multiprocessing import get_context
from typing import Any, TypeVar

from fdistill.evaluation.metrics.score import Score, release

BLEU_OPTIONS = {
    "tokenize": {"enum": ["13a", "none", "intl", "char", "zh"], "description": "sacrebleu's tokenizer."},
    "missing_references": {
        "enum": ["ignore", "empty"],
        "description": "Whether an input with fewer references than others has empty ones instead.",
    },
}

Result = TypeVar("Result")


def bleu(hypotheses: list[str], references: list[list[str]], options: dict, *, order: int) -> Score:
    """Corpus BLEU with n-grams up to `order`, 0-100.

    Options: `tokenize`, as sacrebleu's (`none` for text whose words are parted already), and `missing_references`.
    `ignore`, the default, leaves out what an input lacks. With `empty` it has references of length 0, which the
    brevity penalty takes for the closest in length when the others are more than twice as long as the hypothesis:
    so counts multi-bleu.perl, where DART's published figures are from.

    Source: Papineni et al. 2002, as Post 2018 fixes it.
    """
    from sacrebleu.metrics import BLEU

    missing = options.get("missing_references", "ignore")
    # The text is in lower case already if it is to be; sacrebleu's signature says so then. `force` is but silence
    # about words that seem to be parted.
    metric = BLEU(
        max_ngram_order=order,
        lowercase=options.get("lowercase", False),
        tokenize=options.get("tokenize"),
        force=True,
    )
    value = metric.corpus_score(hypotheses, _streams(references, "" if missing == "empty" else None)).score
    return Score(value, f"BLEU-{order}|{metric.get_signature()}|missing-refs:{missing}")


def chrf(hypotheses: list[str], references: list[list[str]], options: dict) -> Score:
    """Corpus chrF2 (character 6-grams, recall counts twice), 0-100. Source: Popovic 2015."""
    from sacrebleu.metrics import CHRF

    metric = CHRF(lowercase=options.get("lowercase", False))
    value = metric.corpus_score(hypotheses, _streams(references, None)).score
    return Score(value, f"chrF2|{metric.get_signature()}")


def _streams(references: list[list[str]], missing: str | None) -> list[list[str | None]]:
    """One list per position of a reference, as sacrebleu wants them; it leaves out None."""
    return [list(stream) for stream in zip_longest(*references, fillvalue=missing)]


def ter(hypotheses: list[str], references: list[list[str]], options: dict, *, threads: int) -> Score:
    """Corpus TER: edits and shifts per 100 reference words; can exceed 100. Case does not matter.

    Of several references the one with the fewest edits counts, and the mean of their lengths. Computed in `threads`
    processes, input by input; the same numbers as sacrebleu's `corpus_score`. Source: Snover et al. 2006.
    """
    counts = _each(_edits, hypotheses, references, threads)
    edits, length = 0, 0.0
    for more, words in counts:  # in order, by plain additions: sacrebleu's sum to the last bit
        edits, length = edits + more, length + words
    value = 100 * (edits / length) if length else 100.0 * bool(edits)
    metric = _ter()
    numbers = {len(several) for several in references}
    metric.num_refs = numbers.pop() if len(numbers) == 1 else -1  # for the signature, where -1 is "var"
    return Score(value, f"TER|{metric.get_signature()}")


def _edits(hypothesis: str, references: list[str]) -> tuple[int, float]:
    """An input's edits, and its references' mean length in words."""
    score = _ter().sentence_score(hypothesis, references)
    return score.num_edits, score.ref_length


@cache
def _ter() -> Any:
    from sacrebleu.metrics import TER

    return TER()


def _each(
    function: Callable[[str, list[str]], Result],
    hypotheses: list[str],
    references: list[list[str]],
    processes: int,
) -> list[Result]:
    """`function` of every hypothesis with its references, in order."""
    if processes == 1:
        return list(map(function, hypotheses, references))
    # Not forked: another metric's torch may have threads running here.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(function, hypotheses, references, chunksize=32))


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
