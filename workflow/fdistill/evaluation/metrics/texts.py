"""Prepares texts for a metric: the options that all metrics share."""

import re
from collections.abc import Callable
from functools import cache

from fdistill.data.lines import one_line, tidy_lines
from fdistill.data.words import is_mark, separate
from fdistill.evaluation.metrics import scripts

OPTIONS = {
    "lowercase": {"type": "boolean", "description": "Compare in lower case."},
    "tokenizer": {
        "enum": ["none", "words", "treebank", scripts.UNICODE],
        "description": "Separate the words: `words` as DART's evaluation, `treebank` as NLTK, `unicode` in any script.",
    },
    "max_references": {"type": "integer", "minimum": 1, "description": "Use the first so many references only."},
}

# A full stop, question mark or exclamation mark, perhaps in a quotation or in brackets, that no small letter follows.
SENTENCE_END = re.compile(r"""(?:(?<=[.!?])|(?<=[.!?]["'”’)]))\s+(?![a-z])""")


def prepare(
    hypotheses: list[str], references: list[list[str]], options: dict, by_sentence: bool = False
) -> tuple[list[str], list[list[str]], list[str]]:
    """Return hypotheses and references as the metric receives them, and the steps taken, for its signature.

    Every text becomes one line, or with `by_sentence` a line per sentence (see `sentences`). The options apply in this
    order: `max_references` drops references, `tokenizer` separates words and punctuation by single spaces, `lowercase`
    lower-cases both sides. Raises MetricMissing for references that the tokenizer `words` would cut.
    """
    functions: list[Callable[[str], str]] = []
    steps = []
    if limit := options.get("max_references"):
        references = [of_input[:limit] for of_input in references]
        steps.append(f"first-refs:{limit}")
    if (tokenizer := options.get("tokenizer", "none")) != "none":
        if tokenizer == "words":
            reason = (
                "the tokenizer words would cut {share} of the references' words, at vowels or accents that are marks"
            )
            fix = "set the metric's option tokenizer to unicode, which separates words in any script"
            scripts.check_share(references, scripts.any_is(is_mark), scripts.CUT, reason, fix)
        functions.append({"words": _words, "treebank": _treebank, scripts.UNICODE: separate}[tokenizer])
        steps.append(f"words:{tokenizer}")
    if options.get("lowercase"):
        functions.append(str.lower)
        steps.append("lowercase")

    def prepared(text: str) -> str:
        lines = sentences(text) if by_sentence else [one_line(text)]
        for function in functions:
            lines = map(function, lines)
        return "\n".join(lines)

    return list(map(prepared, hypotheses)), [list(map(prepared, of_input)) for of_input in references], steps


def sentences(text: str) -> list[str]:
    """Return the sentences of a text: its lines if it has several, else what lies between the ends of sentences."""
    lines = tidy_lines(text).split("\n")
    return lines if len(lines) > 1 else SENTENCE_END.split(lines[0])


def _words(text: str) -> str:
    """Separate every character that is not a letter, digit or underscore, as in DART's published outputs."""
    return one_line(re.sub(r"(\W)", r" \1 ", text))


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
