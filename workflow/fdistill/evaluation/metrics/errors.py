"""Error rates of sequences of symbols, such as phonemes: PER by rapidfuzz's edit distance, and WER."""

from collections.abc import Sequence

from fdistill.evaluation.metrics import scripts
from fdistill.evaluation.metrics.score import MetricMissing, Score, mean_score, release
from fdistill.evaluation.resampling import replicate


def per(hypotheses: list[str], references: list[list[str]], options: dict) -> Score:
    """Compute the phoneme error rate: edits per 100 phonemes of the references over the corpus; it can exceed 100.

    Symbols between blanks are phonemes; an edit inserts, deletes or substitutes one. With several references the one
    with the fewest edits counts, and of those the longest, whose rate is the lowest.

    Raises MetricMissing where words would count as symbols: in references without a blank, and in those of a script
    without spaces between words if more than a few letters stand together. Source: Bisani & Ney 2008, section 4.
    """
    from rapidfuzz.distance import Levenshtein

    fix = (
        "separate symbols by blanks, or, in a script without spaces between words, set per.tokenizer to unicode, which "
        "makes every character a symbol"
    )
    scripts.check_share(
        references,
        lambda symbol: scripts.unspaced_letters(symbol) > scripts.SYMBOL,
        scripts.FOREIGN,
        f"PER compares symbols between blanks, and {{share}} of those of the references are more than {scripts.SYMBOL} "
        "letters of a script without spaces between words, as Chinese, Japanese and Thai",
        fix,
    )
    if not any(len(reference.split()) > 1 for of_input in references for reference in of_input):
        raise MetricMissing("PER compares symbols between blanks, and no reference has two", fix)
    counts = []
    for hypothesis, of_input in zip(hypotheses, references, strict=True):
        phonemes = hypothesis.split()
        fewest, minus_length = min(
            (Levenshtein.distance(phonemes, reference), -len(reference)) for reference in map(str.split, of_input)
        )
        counts.append((fewest, -minus_length))

    def value_of(sums: Sequence[float]) -> float:
        edits, length = sums
        return 100 * edits / length if length else 100.0 * bool(edits)

    value = value_of([sum(numbers) for numbers in zip(*counts, strict=True)])
    return Score(value, f"PER|refs:fewest-edits|rapidfuzz:{release('rapidfuzz')}", replicate(counts, value_of))


def wer(hypotheses: list[str], references: list[list[str]], options: dict) -> Score:
    """Compute the word error rate of pronunciation: the percentage of outputs that are none of their references.

    An input is one word there. In speech recognition the same name means edits per reference word of a sentence, which
    is `per` here. Source: Bisani & Ney 2008, section 4.
    """
    wrong = [hypothesis not in of_input for hypothesis, of_input in zip(hypotheses, references, strict=True)]
    return mean_score(wrong, "WER|unit:input|refs:any")
