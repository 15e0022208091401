"""Scores how well two texts translate each other word by word, by IBM model 1 trained on the pairs themselves."""

import re
from collections import Counter

import numpy as np

STEM = 5  # letters of a word that are kept, since English and Romanian words mostly inflect at the end
FUNCTION_WORDS = 30  # the most frequent stems of a language, which are no evidence for a pair
EVIDENCE = 0.1  # least translation probability of an explained word
ITERATIONS = 5

_WORD = re.compile(r"\w+")


def lexical_scores(sources: list[str], targets: list[str]) -> np.ndarray:
    """Score each pair in [0, 1]: the mean, over both directions, of the share of content words that are explained.

    A word f of one side is explained when t(f|e) ≥ 0.1 for some word e of the other side. Content words are all but the
    30 most frequent words of the language. Words are lower-cased, cut to 5 letters and counted once per text.

    t is IBM model 1 without the empty word (Brown et al. 1993, "The mathematics of statistical machine translation")
    after five EM steps from a uniform start. Each pair is scored leaving one out: its own expected counts are
    subtracted first, since otherwise a rare word would be explained by any word beside it.

    Returns shape (len(sources),), float64; deterministic. A side without content words has share 0.
    """
    left, right = _Side(sources), _Side(targets)
    return (_explained_share(left, right) + _explained_share(right, left)) / 2


class _Side:
    """The texts of one language as one long array of word numbers, each word once per text."""

    def __init__(self, texts: list[str]):
        words = [dict.fromkeys(word[:STEM] for word in _WORD.findall(text.lower())) for text in texts]
        frequency = Counter(word for text in words for word in text)
        # Ties go by first occurrence, so the numbering is deterministic.
        number = {word: index for index, (word, _) in enumerate(frequency.most_common())}
        self.vocabulary = len(number)
        self.word = np.array([number[word] for text in words for word in text], dtype=np.int64)  # (N,)
        self.length = np.array([len(text) for text in words], dtype=np.int64)  # (texts,)
        self.text = np.repeat(np.arange(len(texts)), self.length)  # (N,) index of each word's text
        self.start = np.cumsum(self.length) - self.length  # (texts,)


def _explained_share(given: _Side, explained: _Side) -> np.ndarray:
    """Share of each text's content words on the `explained` side with t(word|some given word) ≥ EVIDENCE."""
    # One link per (given word e, explained word f) of a pair, L in all: every f is linked to all e of its text.
    partners = given.length[explained.text]  # (N_f,)
    f_at = np.repeat(np.arange(len(explained.word)), partners)  # (L,)
    first = np.cumsum(partners) - partners
    e_at = np.arange(len(f_at)) - first[f_at] + given.start[explained.text[f_at]]  # (L,)
    e = given.word[e_at]
    _, entry = np.unique(e * explained.vocabulary + explained.word[f_at], return_inverse=True)  # (L,) -> table row

    t = np.ones(len(f_at))
    for _ in range(ITERATIONS):
        mass = np.bincount(f_at, weights=t, minlength=len(explained.word))
        share = t / mass[f_at]  # expected alignments of each link
        count = np.bincount(entry, weights=share)[entry]
        total = np.bincount(e, weights=share, minlength=given.vocabulary)[e]
        t = count / total

    own_total = np.bincount(e_at, weights=share, minlength=len(given.word))[e_at]
    elsewhere = total - own_total
    seen = elsewhere > 1e-9  # a word that occurs in this pair only has no other evidence, just rounding errors
    t = np.divide(count - share, elsewhere, out=np.zeros_like(t), where=seen)

    best = np.zeros(len(explained.word))
    np.maximum.at(best, f_at, t)
    content = explained.word >= FUNCTION_WORDS  # the most frequent words have the lowest numbers
    texts = len(explained.length)
    hits = np.bincount(explained.text[content], weights=best[content] >= EVIDENCE, minlength=texts)
    return hits / np.maximum(np.bincount(explained.text[content], minlength=texts), 1)
