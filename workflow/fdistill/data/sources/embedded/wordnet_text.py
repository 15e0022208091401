"""Cleans definitions, so that both dictionaries follow one convention."""

import re
import unicodedata
from collections import Counter
from typing import NamedTuple


class Pair(NamedTuple):
    """The English and the Romanian definition of a synset."""

    id: str
    english: str
    romanian: str


_LETTERS = str.maketrans({"ş": "ș", "Ş": "Ș", "ţ": "ț", "Ţ": "Ț", "`": "'", "“": '"', "”": '"', "„": '"', "–": "-"})
_EXAMPLE = re.compile(r'(?:^|[;:,.(-]|(?<=\)))\s*".*', re.DOTALL)  # quoted after punctuation; other quotes name a term
_LABEL = re.compile(r"^\([^()]*\)\s*")  # "(computer science)", "(figurativ)"
_MARKUP = re.compile(r"[^\w\s.,;:()'/%!?-]|_|^expresie\b", re.IGNORECASE)


def clean(pairs: list[Pair]) -> list[Pair]:
    """Return the pairs in WordNet's convention: no examples, no initial capital, no full stop.

    Cedillas become commas below (ş → ș, ţ → ț). A subject or usage label at the start is removed when only one side has
    one. The first Romanian word loses its capital unless it is mostly capitalised inside definitions, or the English
    definition has the same word.
    """
    cleaned = []
    for pair in pairs:
        english, romanian = _definition(pair.english), _definition(pair.romanian)
        if bool(_LABEL.match(english)) != bool(_LABEL.match(romanian)):
            english, romanian = _LABEL.sub("", english), _LABEL.sub("", romanian)
        cleaned.append(Pair(pair.id, english, romanian))
    inside = Counter(word for pair in cleaned for word in re.findall(r"\w+", pair.romanian)[1:])
    return [pair._replace(romanian=_without_capital(pair, inside)) for pair in cleaned]


def is_plain(text: str) -> bool:
    """Return whether a cleaned definition is plain text: words, ordinary punctuation, closed parentheses.

    An empty definition is not, nor one with a dictionary's mark-up (`~`, `=`, `|`), a headword in front ("Expresie: …")
    or a quotation mark.
    """
    return bool(re.search(r"\w", text)) and not _MARKUP.search(text) and text.count("(") == text.count(")")


def digits(text: str) -> list[str]:
    """Return the numbers in a text, sorted as texts."""
    return sorted(re.findall(r"\d+", text))


def word_count(text: str) -> int:
    """Return the number of words, split at white space."""
    return len(text.split())


def key(text: str) -> str:
    """Return the text without case and punctuation."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _definition(text: str) -> str:
    text = unicodedata.normalize("NFC", text).translate(_LETTERS)
    text = _EXAMPLE.sub("", text)
    text = text.replace("ăî", "ă î")  # RoWordNet lost spaces there; no Romanian word has the two in a row
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r" (?=[.,;:)!?])|(?<=\() ", "", text).strip(" .,;:-")
    return f"{text}." if re.search(r"\betc$", text) else text


def _without_capital(pair: Pair, inside: Counter[str]) -> str:
    match = re.match(r"\W*(\w+)", pair.romanian)
    word = match[1] if match else ""
    lower = word[:1].lower() + word[1:]
    acronym = len(word) > 1 and not word[1:].islower()
    if word == lower or acronym or inside[word] > inside[lower] or (len(word) > 1 and word in pair.english.split()):
        return pair.romanian
    return pair.romanian.replace(word, lower, 1)
