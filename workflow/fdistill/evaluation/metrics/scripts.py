"""Refuses a metric that cannot read the references' writing system.

References decide, not hypotheses, so that a metric is computed for all systems of a task or for none.
"""

import unicodedata
from collections.abc import Callable
from functools import cache

from fdistill.data.words import is_mark, is_unspaced
from fdistill.evaluation.metrics.score import MetricMissing

UNICODE = "unicode"  # the value of the option `tokenizer` that separates words in any script
# Shares of words beyond which a metric is outside its domain. English texts have foreign names and Greek letters, with
# which published figures were computed; Italian, which has few accents, has them in more than 3 words of 100.
CUT = 0.02
FOREIGN = 0.1
# In a script without spaces between words, what stands between spaces is no word if more than PHRASES of it has more
# than WORD letters: separated words have about 2 in Chinese and Japanese, and 4 in Thai.
PHRASES = 0.3
WORD = 5
# A symbol of such a script that stands between spaces has at most as many letters: long kana with a small one (キャー).
SYMBOL = 3


@cache
def is_foreign(character: str) -> bool:
    """Return whether a character is a letter of another script than Latin."""
    return unicodedata.category(character)[0] == "L" and not unicodedata.name(character, "").startswith(
        ("LATIN", "MODIFIER", "FULLWIDTH LATIN", "MICRO", "FEMININE", "MASCULINE")
    )


def any_is(is_kind: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return whether a word has a character of a kind, as a function of the word."""
    return lambda word: any(map(is_kind, word))


def unspaced_letters(word: str) -> int:
    """Return the number of a word's letters, without marks, in scripts that put no spaces between words."""
    return sum(is_unspaced(character) and not is_mark(character) for character in word)


def check_share(
    references: list[list[str]], is_out: Callable[[str], bool], limit: float, reason: str, fix: str
) -> None:
    """Raise MetricMissing when `is_out` holds of more than `limit` of the words, which are what spaces separate.

    `{share}` in `reason` stands for the share in percent.
    """
    words = [word for of_input in references for text in of_input for word in text.split()]
    share = sum(map(is_out, words)) / max(1, len(words))
    if share > limit:
        raise MetricMissing(reason.format(share=f"{share:.0%}"), fix)


def check_spaced(metric: str, references: list[list[str]], options: dict, fix: str) -> None:
    """Raise MetricMissing when neither the references' script nor the option `tokenizer` separates words."""
    if options.get("tokenizer") == UNICODE:
        return
    reason = (
        f"{metric} counts words between spaces, and {{share}} of the references' words are in a script without spaces "
        "between words, as Chinese, Japanese and Thai"
    )
    check_share(references, any_is(is_unspaced), FOREIGN, reason, fix)
