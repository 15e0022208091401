"""Writing systems: separates words in any of them, and refuses a metric that cannot read the references' one.

References decide, not hypotheses, so that a metric is computed for all systems of a task or for none.
"""

import unicodedata
from collections.abc import Callable
from functools import cache
from itertools import groupby

from fdistill.evaluation.metrics.score import MetricMissing

# Scripts that put no spaces between words, by the first words of their characters' names in Unicode.
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
UNICODE = "unicode"  # the value of the option `tokenizer` that separates words in any script
JOINERS = "\u200c\u200d"  # within words of Persian and of languages of India
# Shares of words beyond which a metric is outside its domain. English texts have foreign names and Greek letters, with
# which published figures were computed; Italian, which has few accents, has them in more than 3 words of 100.
CUT = 0.02
FOREIGN = 0.1


@cache
def is_letter(character: str) -> bool:
    """Return whether a character is a letter, or a mark on one: Hindi writes vowels as marks."""
    return unicodedata.category(character)[0] in "LM"


@cache
def is_unspaced(character: str) -> bool:
    """Return whether a character is of a script that puts no spaces between words."""
    return is_letter(character) and unicodedata.name(character, "").startswith(UNSPACED)


@cache
def is_foreign(character: str) -> bool:
    """Return whether a character is a letter of another script than Latin."""
    return unicodedata.category(character)[0] == "L" and not unicodedata.name(character, "").startswith(
        ("LATIN", "MODIFIER", "FULLWIDTH LATIN", "MICRO", "FEMININE", "MASCULINE")
    )


def is_mark(character: str) -> bool:
    """Return whether a character is a mark on the letter before it."""
    return unicodedata.category(character)[0] == "M"


def separate(text: str) -> str:
    """Separate words in any script by single spaces: letters with their marks, digits, and joiners make up words.

    A character of a script without spaces between words is a word of its own, with the marks on it; so is every other
    character. Equal characters that Unicode can encode in two ways become one (NFC).
    """
    words = []
    for kind, characters in groupby(unicodedata.normalize("NFC", text), _kind):
        if kind == "word":
            words.append("".join(characters))
        elif kind == "unspaced":
            for character in characters:
                if words and is_mark(character) and is_unspaced(words[-1][0]):
                    words[-1] += character
                else:
                    words.append(character)
        elif kind == "other":
            words += characters
    return " ".join(words)


@cache
def _kind(character: str) -> str:
    if is_unspaced(character):
        return "unspaced"
    if is_letter(character) or character in JOINERS or unicodedata.category(character)[0] == "N":
        return "word"
    return "space" if character.isspace() else "other"


def share_of_words(references: list[list[str]], has: Callable[[str], bool]) -> float:
    """Return the share of words, between spaces, that have a character of the kind `has`."""
    words = [word for of_input in references for text in of_input for word in text.split()]
    return sum(any(map(has, word)) for word in words) / max(1, len(words))


def check_share(references: list[list[str]], has: Callable[[str], bool], limit: float, reason: str, fix: str) -> None:
    """Raise MetricMissing when more than `limit` of the words have a character of the kind `has`.

    `{share}` in `reason` stands for the share in percent.
    """
    share = share_of_words(references, has)
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
    check_share(references, is_unspaced, FOREIGN, reason, fix)
