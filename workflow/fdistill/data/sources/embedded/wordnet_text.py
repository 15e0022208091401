"""The text of a definition: two dictionaries' habits brought to one convention."""

import re
import unicodedata
from collections import Counter
from typing import NamedTuple


class Pair(NamedTuple):
    """One synset's two definitions."""

    id: str
    english: str
    romanian: str


_LETTERS = str.maketrans({"ş": "ș", "Ş": "Ș", "ţ": "ț", "Ţ": "Ț", "`": "'", "“": '"', "”": '"', "„": '"', "–": "-"})
_EXAMPLE = re.compile(r'(?:^|[;:,.(-]|(?<=\)))\s*".*', re.DOTALL)  # quoted after a stop; other quotes name a term
_LABEL = re.compile(r"^\([^()]*\)\s*")  # "(computer science)", "(figurativ)"
_MARKUP = re.compile(r"[^\w\s.,;:()'/%!?-]|_|^expresie\b", re.IGNORECASE)


def clean(pairs: list[Pair]) -> list[Pair]:
    """Bring both definitions to WordNet's convention: no examples, no capital letter in front, no full stop.

    Cedillas become commas below (ş → ș, ţ → ț). A subject or usage label in front goes where only one side
    has it. The first Romanian word loses its capital unless the collection prefers it inside definitions, or
    the English one has the very word.
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
    """Whether a cleaned definition is a sentence: words, ordinary punctuation, closed parentheses.

    Not so: an empty one, one with a dictionary's mark-up (`~`, `=`, `|`), with a headword in front
    ("Expresie: …") or with a quotation mark left inside.
    """
    return bool(re.search(r"\w", text)) and not _MARKUP.search(text) and text.count("(") == text.count(")")


def digits(text: str) -> list[str]:
    """The numbers in a text, in any order."""
    return sorted(re.findall(r"\d+", text))


def word_count(text: str) -> int:
    """Words as written: what stands between spaces."""
    return len(text.split())


def key(text: str) -> str:
    """What two texts share that differ in case and punctuation only."""
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
