"""Words in any writing system: the one rule by which a text is separated into them."""

import re
import unicodedata
from functools import cache
from itertools import groupby

# Scripts that put no spaces between words, by the first words of their characters' names in Unicode: those that its
# rules of line breaking (UAX #14) break within words (ID) or by dictionaries (SA), and two of Indonesia.
UNSPACED = (
    "CJK",
    "IDEOGRAPHIC",
    "HIRAGANA",
    "KATAKANA",
    "HALFWIDTH KATAKANA",
    "HENTAIGANA",
    "BOPOMOFO",
    "YI ",
    "NUSHU",
)
UNSPACED += ("TANGUT", "KHITAN", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "TAI ", "NEW TAI LUE", "AHOM")
UNSPACED += ("JAVANESE", "BALINESE")
JOINERS = "\u200c\u200d"  # within words of Persian and of languages of India
ASCII_WORDS = re.compile(r"[a-zA-Z0-9]+|[^\sa-zA-Z0-9]")  # what `separate` finds in ASCII, several times as fast


@cache
def is_letter(character: str) -> bool:
    """Return whether a character is a letter, or a mark on one: Hindi writes vowels as marks."""
    return unicodedata.category(character)[0] in "LM"


@cache
def is_unspaced(character: str) -> bool:
    """Return whether a character is of a script that puts no spaces between words."""
    return is_letter(character) and unicodedata.name(character, "").startswith(UNSPACED)


@cache
def is_mark(character: str) -> bool:
    """Return whether a character is a mark on the letter before it."""
    return unicodedata.category(character)[0] == "M"


@cache
def is_symbol(character: str) -> bool:
    """Return whether a character is a symbol, as `+`, `$` and emoji, and no punctuation as `-`, `*` and accents."""
    return unicodedata.category(character) in ("Sm", "Sc", "So")


def is_word(word: str) -> bool:
    """Return whether one of the words of `separate` is more than punctuation: it has a letter, digit or symbol."""
    return word.isalnum() or any(character.isalnum() or is_symbol(character) for character in word)


def separate(text: str) -> str:
    """Separate words in any script by single spaces: letters with their marks, digits, and joiners make up words.

    A character of a script without spaces between words is a word of its own, with the marks on it; so is every other
    character. Equal characters that Unicode can encode in two ways become one (NFC).
    """
    if text.isascii():
        return " ".join(ASCII_WORDS.findall(text))
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
