"""Metrics that count shared words or characters: BLEU, chrF and TER by sacrebleu, ROUGE by rouge-score."""

import re
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import zip_longest
from multiprocessing import get_context
from typing import Any, TypeVar

from fdistill.data.words import is_letter, is_symbol, is_word
from fdistill.evaluation.metrics import scripts
from fdistill.evaluation.metrics.score import MetricMissing, Score, mean_score, release
from fdistill.evaluation.resampling import replicate

BLEU_OPTIONS = {
    "tokenize": {"enum": ["13a", "none", "intl", "char", "zh"], "description": "sacrebleu's tokenizer."},
    "missing_references": {
        "enum": ["ignore", "empty"],
        "description": "Whether inputs with fewer references than others get empty ones instead.",
    },
}

Result = TypeVar("Result")


def bleu(hypotheses: list[str], references: list[list[str]], options: dict, *, order: int) -> Score:
    """Compute corpus BLEU with n-grams up to `order`, from 0 to 100.

    Options: `tokenize` is sacrebleu's (`none` for text whose words are separated already). `missing_references` decides
    about inputs with fewer references than others: `ignore`, the default, uses those that there are; `empty` adds
    references of length 0. The brevity penalty takes such a reference for the closest in length when the others are
    more than twice as long as the hypothesis. multi-bleu.perl, which computed DART's published figures, uses `empty`.

    Raises MetricMissing for references without spaces between words, unless an option separates them, and when none has
    `order` words. Source: Papineni et al. 2002, with the settings of Post 2018.
    """
    from sacrebleu.metrics import BLEU

    tokenize = options.get("tokenize")
    missing = options.get("missing_references", "ignore")
    # `lowercase` only reaches the signature, since the text is in lower case already; `force` only hides a warning
    # about text that looks tokenised.
    metric = BLEU(
        max_ngram_order=order,
        lowercase=options.get("lowercase", False),
        tokenize=tokenize,
        force=True,
    )
    _check_separated(order, references, options, metric.tokenizer)
    _check_length(f"BLEU-{order}", "bleu", order, references, lambda text: metric.tokenizer(text).split())
    value, replicates = _by_sacrebleu(metric, hypotheses, _streams(references, "" if missing == "empty" else None))
    return Score(value, f"BLEU-{order}|{metric.get_signature()}|missing-refs:{missing}", replicates)


def _check_separated(order: int, references: list[list[str]], options: dict, tokenizer: Callable[[str], str]) -> None:
    """Raise MetricMissing when sacrebleu's tokenizer leaves words together in a script without spaces between them."""
    metric, key, tokenize = f"BLEU-{order}", f"bleu{order}", options.get("tokenize")
    already = "or to none if words are separated already"
    if tokenize in (None, "13a", "intl"):
        fix = f"set {key}.tokenize to zh for Chinese, to char for other scripts, {already}"
        scripts.check_spaced(metric, references, options, fix)
    elif tokenize == "zh":
        scripts.check_share(
            [list(map(tokenizer, of_input)) for of_input in references],
            lambda word: scripts.unspaced_letters(word) > 1,
            scripts.FOREIGN,
            f"the tokenizer zh of {metric} separates Chinese characters only, and {{share}} of the references' words "
            "are still several letters of a script without spaces between words, as Japanese and Thai",
            f"set {key}.tokenize to char, {already}",
        )
    elif tokenize == "none":
        scripts.check_share(
            references,
            lambda word: scripts.unspaced_letters(word) > scripts.WORD,
            scripts.PHRASES,
            f"{metric} with the tokenizer none counts words between spaces, and {{share}} of those of the references "
            f"are of more than {scripts.WORD} letters in a script without spaces between words, as Chinese and Thai",
            f"set {key}.tokenize to zh for Chinese, to char for other scripts, or separate the words",
        )


def _check_length(
    metric: str, family: str, order: int, references: list[list[str]], words: Callable[[str], list[str]]
) -> None:
    """Raise MetricMissing when no reference has the `order` words of an n-gram: even a copy would have no match."""
    texts = [text for of_input in references for text in of_input]
    if any(len(words(text)) >= order for text in texts):
        return
    longest = max(len(words(text)) for text in texts)
    lower = {1: f"{family}1", 2: f"{family}2", 3: f"{family}2"}
    raise MetricMissing(
        f"{metric} compares sequences of {order} words, and no reference has more than {longest}"
        if order > 1
        else f"{metric} compares words, and no reference has any",
        f"use {lower[longest]}, of a lower order" if longest else "use chrf, which compares characters",
    )


def chrf(hypotheses: list[str], references: list[list[str]], options: dict) -> Score:
    """Compute corpus chrF2 (character 6-grams, recall counts twice), from 0 to 100. Source: Popovic 2015."""
    from sacrebleu.metrics import CHRF

    metric = CHRF(lowercase=options.get("lowercase", False))
    value, replicates = _by_sacrebleu(metric, hypotheses, _streams(references, None))
    return Score(value, f"chrF2|{metric.get_signature()}", replicates)


def _by_sacrebleu(metric: Any, hypotheses: list[str], streams: list[list[str | None]]) -> tuple[float, list[float]]:
    """The value of a metric of sacrebleu over the corpus, and its replicates."""
    # sacrebleu's own tests of significance go this way; its public functions return no statistics of all metrics.
    statistics = metric._extract_corpus_statistics(hypotheses, streams)

    def value_of(sums: Any) -> float:
        return metric._compute_score_from_stats([int(number) for number in sums]).score

    return metric._aggregate_and_compute(statistics).score, replicate(statistics, value_of)


def _streams(references: list[list[str]], missing: str | None) -> list[list[str | None]]:
    """References by position, as sacrebleu expects them: the first of every input, the second, ...; it skips None."""
    return [list(stream) for stream in zip_longest(*references, fillvalue=missing)]


def ter(hypotheses: list[str], references: list[list[str]], options: dict, *, threads: int) -> Score:
    """Compute corpus TER: edits and shifts per 100 reference words, which can exceed 100. Case is ignored.

    With several references, the fewest edits to any of them count, and the mean of their lengths. The inputs are spread
    over `threads` processes; the value equals that of sacrebleu's `corpus_score`.

    Raises MetricMissing for references without spaces between words. Source: Snover et al. 2006.
    """
    scripts.check_spaced("TER", references, options, "set ter.tokenizer to unicode, which makes every character a word")
    counts = _map_inputs(_edits, hypotheses, references, threads)
    metric = _ter()

    def value_of(sums: Any) -> float:
        return metric._compute_score_from_stats(sums).score

    # Summed as sacrebleu does it, so that the last bit is the same.
    value = value_of([sum(numbers) for numbers in zip(*counts, strict=True)])
    numbers = {len(of_input) for of_input in references}
    metric.num_refs = numbers.pop() if len(numbers) == 1 else -1  # for the signature, where -1 reads "var"
    return Score(value, f"TER|{metric.get_signature()}", replicate(counts, value_of))


def _edits(hypothesis: str, references: list[str]) -> tuple[int, float]:
    """The edits of an input, and the mean length of its references in words."""
    score = _ter().sentence_score(hypothesis, references)
    return score.num_edits, score.ref_length


@cache
def _ter() -> Any:
    from sacrebleu.metrics import TER

    return TER()


def _map_inputs(
    function: Callable[[str, list[str]], Result],
    hypotheses: list[str],
    references: list[list[str]],
    processes: int,
) -> list[Result]:
    """The results of `function` for every hypothesis with its references, in order."""
    if processes == 1:
        return list(map(function, hypotheses, references))
    # Spawned, not forked: threads of torch may be running here for another metric.
    # A Ctrl-C on the terminal reaches them too; this process answers it.
    ignore = (signal.signal, (signal.SIGINT, signal.SIG_IGN))
    with ProcessPoolExecutor(processes, get_context("spawn"), *ignore) as pool:
        return list(pool.map(function, hypotheses, references, chunksize=32))


def rouge(hypotheses: list[str], references: list[list[str]], options: dict, *, kind: str) -> Score:
    """Compute the mean over inputs of ROUGE F1, x 100; `kind` is rouge1, rouge2, rougeL or rougeLsum.

    With several references the highest F1 counts. rougeL compares texts as one sequence of words, rougeLsum the lines
    of texts, which are sentences: papers on summaries of several sentences call the latter ROUGE-L. Words are those of
    rouge-score, runs of a-z and 0-9 with Porter's stems; with the option `tokenizer: unicode`, words in any script and
    symbols without stemming.

    Raises MetricMissing for references that rouge-score's words would cut or drop, as all that are not in English, and
    when none has a word, or two for rouge2. Source: Lin 2004.
    """
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    if options.get("tokenizer") == scripts.UNICODE:
        tokenizer, stemmer = _SeparatedWords(), "none"
    else:
        scripts.check_share(
            references,
            _is_lost,
            scripts.CUT,
            "ROUGE's own words are of a-z and 0-9, and {share} of the references' words have other letters or digits, "
            "or are symbols, where it would cut or drop them",
            f"set {kind}.tokenizer to unicode, which keeps words in any script and symbols; the signature has it",
        )
        tokenizer, stemmer = DefaultTokenizer(use_stemmer=True), "porter"
    _check_length(
        kind.replace("rouge", "ROUGE-"), "rouge", 2 if kind == "rouge2" else 1, references, tokenizer.tokenize
    )
    scorer = RougeScorer([kind], tokenizer=tokenizer)
    values = [
        scorer.score_multi(of_input, hypothesis)[kind].fmeasure
        for hypothesis, of_input in zip(hypotheses, references, strict=True)
    ]
    signature = f"{kind}|measure:f1|stemmer:{stemmer}|refs:best|rouge-score:{release('rouge-score')}"
    return mean_score(values, signature)


def _is_lost(word: str) -> bool:
    """Return whether rouge-score's own tokenizer cuts a word, or drops one that is more than punctuation."""
    is_cut = not word.isascii() and any(
        (is_letter(character) or character.isnumeric()) and not character.isascii() for character in word
    )
    return is_cut or (any(map(is_symbol, word)) and not re.search("[a-zA-Z0-9]", word))


class _SeparatedWords:
    """A tokenizer of rouge-score for text whose words are separated: all but punctuation."""

    def tokenize(self, text: str) -> list[str]:
        return list(filter(is_word, text.lower().split()))
