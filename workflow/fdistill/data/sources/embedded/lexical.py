"""How well two texts translate each other word by word: IBM model 1, trained on the pairs themselves."""

import re
from collections import Counter

import numpy as np

STEM = 5  # letters kept of a word; inflection is mostly at its end, in English and in Romanian
FUNCTION_WORDS = 30  # the most frequent stems of a language say nothing about a pair
EVIDENCE = 0.1  # translation probability from which a word counts as explained
ITERATIONS = 5

_WORD = re.compile(r"\w+")


def lexical_scores(sources: list[str], targets: list[str]) -> np.ndarray:
    """Score each pair in [0, 1]: the mean of its two explained shares, one per direction.

    A word f of one side is explained when max over the other side's words e of t(f|e) ≥ 0.1, and the share is
    over the side's content words: all but the language's 30 most frequent ones. Words are lower-cased, cut to
    5 letters and taken once per text. t is IBM model 1 without the empty word (Brown et al., 1993, "The
    mathematics of statistical machine translation"), five EM steps from uniform, and read leaving one out:
    the expected counts of a pair are subtracted before the pair is judged, for else a rare word is explained
    by whatever stands beside it.

    Returns shape (len(sources),), float64; deterministic. A side without content words has share 0.
    """
    left, right = _Side(sources), _Side(targets)
    return (_explained_share(left, right) + _explained_share(right, left)) / 2


class _Side:
    """The texts of one language as one long array of word numbers, each word once per text."""

    def __init__(self, texts: list[str]):
        words = [dict.fromkeys(word[:STEM] for word in _WORD.findall(text.lower())) for text in texts]
        frequency = Counter(word for text in words for word in text)
        # most_common breaks ties by first occurrence, so the numbering is deterministic
        number = {word: index for index, (word, _) in enumerate(frequency.most_common())}
        self.vocabulary = len(number)
        self.word = np.array([number[word] for text in words for word in text], dtype=np.int64)  # (N,)
        self.length = np.array([len(text) for text in words], dtype=np.int64)  # (texts,)
        self.text = np.repeat(np.arange(len(texts)), self.length)  # (N,) the text each word stands in
        self.start = np.cumsum(self.length) - self.length  # (texts,)


def _explained_share(given: _Side, explained: _Side) -> np.ndarray:
    """Share of each text's content words on the `explained` side with t(word|some given word) ≥ EVIDENCE."""
    # One link per (given word e, explained word f) of a pair, L in all: every f meets all e of its text.
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
    seen = elsewhere > 1e-9  # a word of this pair alone has no evidence, only rounding
    t = np.divide(count - share, elsewhere, out=np.zeros_like(t), where=seen)

    best = np.zeros(len(explained.word))
    np.maximum.at(best, f_at, t)
    content = explained.word >= FUNCTION_WORDS  # numbers go by frequency
    texts = len(explained.length)
    hits = np.bincount(explained.text[content], weights=best[content] >= EVIDENCE, minlength=texts)
    return hits / np.maximum(np.bincount(explained.text[content], minlength=texts), 1)
