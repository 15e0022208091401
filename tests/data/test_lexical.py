"""The lexical score against IBM model 1 in loops and dictionaries; translations score high, other pairs low."""

import random
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from fdistill.data.sources.embedded import lexical
from fdistill.data.sources.embedded.lexical import lexical_scores


def naive_scores(sources, targets):
    def stems(text):
        return sorted({word[:5] for word in re.findall(r"\w+", text.lower())})

    def top(texts):
        counts = Counter(word for text in texts for word in text)
        return {word for word, _ in counts.most_common(lexical.FUNCTION_WORDS)}

    def share(given, explained):
        t = defaultdict(lambda: 1.0)
        for _ in range(5):
            count, total, own = Counter(), Counter(), []
            for es, fs in zip(given, explained, strict=True):
                links = {}
                for f in fs:
                    for e in es:
                        links[e, f] = t[e, f] / sum(t[other, f] for other in es)
                own.append(links)
                for (e, f), value in links.items():
                    count[e, f] += value
                    total[e] += value
            t = defaultdict(float, {(e, f): value / total[e] for (e, f), value in count.items()})
        function_words = top(explained)
        shares = []
        for es, fs, links in zip(given, explained, own, strict=True):
            hits = []
            for f in fs:
                if f in function_words:
                    continue
                best = 0.0
                for e in es:
                    rest = total[e] - sum(links[e, other] for other in fs)
                    if rest > 1e-9:
                        best = max(best, (count[e, f] - links[e, f]) / rest)
                hits.append(best >= lexical.EVIDENCE)
            shares.append(sum(hits) / len(hits) if hits else 0.0)
        return np.array(shares)

    left, right = [stems(text) for text in sources], [stems(text) for text in targets]
    return (share(left, right) + share(right, left)) / 2


def translations(count, seed):
    """Sentences of five words and their word-by-word translations."""
    generator = random.Random(seed)
    chosen = [generator.sample(range(100, 200), 5) for _ in range(count)]
    sources = [" ".join(f"e{number}" for number in numbers) for numbers in chosen]
    targets = [" ".join(f"r{number}" for number in generator.sample(numbers, 5)) for numbers in chosen]
    return sources, targets


def test_scores_agree_with_the_naive_reference(monkeypatch):
    monkeypatch.setattr(lexical, "FUNCTION_WORDS", 0)  # ties at the rank would be broken in another order
    generator = random.Random(0)
    words = ["sun", "moon", "star", "sky", "the", "the", "of", "cloudless"]
    sources = [" ".join(generator.choices(words, k=generator.randint(1, 5))) for _ in range(25)]
    targets = [" ".join(generator.choices(words, k=generator.randint(1, 5))) for _ in range(25)]
    assert lexical_scores(sources, targets) == pytest.approx(naive_scores(sources, targets), abs=1e-12)


def test_translations_score_high_and_other_pairs_low():
    sources, targets = translations(400, seed=1)
    unrelated = range(350, 400)
    mixed = targets[:350] + [targets[351 + (index - 350 + 1) % 49] for index in unrelated]
    scores = lexical_scores(sources, mixed)
    assert scores[:350].mean() > 0.95
    assert scores[350:].mean() < 0.3


def test_a_pair_is_no_evidence_for_itself():
    sources, targets = translations(400, seed=2)
    scores = lexical_scores([*sources, "onlyhere nowhere"], [*targets, "numaiaici nicaieri"])
    assert scores[-1] == 0


def test_an_empty_side_scores_zero():
    sources, targets = translations(100, seed=3)
    scores = lexical_scores([*sources, "", "e101"], [*targets, "r101", ""])
    assert np.isfinite(scores).all()
    assert scores[-2:].tolist() == [0, 0]
