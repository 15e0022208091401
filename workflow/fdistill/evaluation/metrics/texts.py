"""What is done to the texts before a metric sees them: the options that all metrics share."""

import re
from collections.abc import Callable
from functools import cache

OPTIONS = {
    "lowercase": {"type": "boolean", "description": "Compare in lower case."},
    "tokenizer": {
        "enum": ["none", "words", "treebank"],
        "description": "Part the words: `words` as DART's evaluation, `treebank` as NLTK.",
    },
    "max_references": {"type": "integer", "minimum": 1, "description": "Use the first so many references only."},
}


def prepared(
    hypotheses: list[str], references: list[list[str]], options: dict
) -> tuple[list[str], list[list[str]], list[str]]:
    """The texts as the metric is to see them, and what was done, as parts of its signature.

    Of the `OPTIONS`, in this order: `max_references` drops references, `tokenizer` parts words and punctuation by
    single spaces, `lowercase` lowers both sides.
    """
    steps: list[Callable[[str], str]] = []
    done = []
    if limit := options.get("max_references"):
        references = [several[:limit] for several in references]
        done.append(f"first-refs:{limit}")
    if (tokenizer := options.get("tokenizer", "none")) != "none":
        steps.append({"words": _words, "treebank": _treebank}[tokenizer])
        done.append(f"words:{tokenizer}")
    if options.get("lowercase"):
        steps.append(str.lower)
        done.append("lowercase")
    for step in steps:
        hypotheses = [step(text) for text in hypotheses]
        references = [[step(text) for text in several] for several in references]
    return hypotheses, references, done


def _words(text: str) -> str:
    """Every character that is no letter, digit or underscore stands alone (the rule of DART's published outputs)."""
    return " ".join(" ".join(re.split(r"(\W)", text)).split())


def _treebank(text: str) -> str:
    """NLTK's word tokenizer, sentence by sentence.

    NLTK finds the sentences by a model that it would download; here one ends at `.`, `!` or `?` before a space.
    """
    tokenize = _nltk()
    return " ".join(word for sentence in re.split(r"(?<=[.!?])\s+", text) for word in tokenize(sentence))


@cache
def _nltk() -> Callable[[str], list[str]]:
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer().tokenize
