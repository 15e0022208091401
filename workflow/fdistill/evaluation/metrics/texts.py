"""Prepares texts for a metric: the options that all metrics share."""

import re
from collections.abc import Callable
from functools import cache

OPTIONS = {
    "lowercase": {"type": "boolean", "description": "Compare in lower case."},
    "tokenizer": {
        "enum": ["none", "words", "treebank"],
        "description": "Separate the words: `words` as DART's evaluation, `treebank` as NLTK.",
    },
    "max_references": {"type": "integer", "minimum": 1, "description": "Use the first so many references only."},
}


def prepare(
    hypotheses: list[str], references: list[list[str]], options: dict
) -> tuple[list[str], list[list[str]], list[str]]:
    """Return hypotheses and references as the metric receives them, and the steps taken, for its signature.

    The options apply in this order: `max_references` drops references, `tokenizer` separates words and punctuation by
    single spaces, `lowercase` lower-cases both sides.
    """
    functions: list[Callable[[str], str]] = []
    steps = []
    if limit := options.get("max_references"):
        references = [of_input[:limit] for of_input in references]
        steps.append(f"first-refs:{limit}")
    if (tokenizer := options.get("tokenizer", "none")) != "none":
        functions.append({"words": _words, "treebank": _treebank}[tokenizer])
        steps.append(f"words:{tokenizer}")
    if options.get("lowercase"):
        functions.append(str.lower)
        steps.append("lowercase")
    for function in functions:
        hypotheses = [function(text) for text in hypotheses]
        references = [[function(text) for text in of_input] for of_input in references]
    return hypotheses, references, steps


def _words(text: str) -> str:
    """Separate every character that is not a letter, digit or underscore, as in DART's published outputs."""
    return " ".join(" ".join(re.split(r"(\W)", text)).split())


def _treebank(text: str) -> str:
    """Separate words by NLTK's word tokenizer, sentence by sentence.

    NLTK would download a model to find the sentences; here a sentence ends at `.`, `!` or `?` before a space.
    """
    tokenize = _nltk()
    return " ".join(word for sentence in re.split(r"(?<=[.!?])\s+", text) for word in tokenize(sentence))


@cache
def _nltk() -> Callable[[str], list[str]]:
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer().tokenize
