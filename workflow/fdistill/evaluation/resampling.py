"""How sure a number is: bootstrap over test inputs and seeds, and paired tests between systems.

A metric over a test split is a function of sums over its inputs. Its bootstrap replicates are the same function of the
sums over inputs that are sampled with replacement (Efron and Tibshirani 1993). The samples depend on nothing but the
number of inputs, so that the replicates of two systems on one split are paired: their differences are those of the
paired bootstrap test (Koehn 2004).
"""

from collections.abc import Callable, Sequence

import numpy as np

REPLICATES = 5000
CHUNK = 100  # replicates whose samples are in memory at a time
CONFIDENCE = 0.95
SEED = 12345


def replicate(statistics: Sequence[Sequence[float]], value_of: Callable[[np.ndarray], float]) -> list[float]:
    """Return `REPLICATES` values of a metric, each over inputs sampled with replacement.

    `statistics` (N, K) has K numbers per input; `value_of` returns the metric for their sums (K,) over N inputs.
    """
    table = np.asarray(statistics, dtype=np.float64)
    n_inputs = len(table)
    generator = np.random.default_rng(SEED)
    values: list[float] = []
    for _ in range(REPLICATES // CHUNK):
        samples = generator.integers(n_inputs, size=(CHUNK, n_inputs))
        counts = np.array([np.bincount(sample, minlength=n_inputs) for sample in samples], dtype=np.float64)
        values += [float(value_of(sums)) for sums in counts @ table]
    return values


def replicate_mean(values: Sequence[float], scale: float = 1.0) -> list[float]:
    """Return the replicates of the mean of `values` (N,), one per input, times `scale`."""
    return replicate([[value] for value in values], lambda sums: scale * sums[0] / len(values))


def mean_over_seeds(replicates: Sequence[Sequence[float]]) -> np.ndarray:
    """Return the replicates (R,) of a mean over seeds, from those of each seed (S, R).

    Each is a mean over S seeds that are sampled with replacement, all on the same sample of inputs. The sampled seeds
    depend on S alone, as the sampled inputs do on N.
    """
    table = np.asarray(replicates, dtype=np.float64)
    n_seeds, n_replicates = table.shape
    seeds = np.random.default_rng(SEED).integers(n_seeds, size=(n_replicates, n_seeds))
    return table[seeds, np.arange(n_replicates)[:, None]].mean(axis=1)


def interval(replicates: Sequence[float]) -> list[float]:
    """Return the percentile interval [low, high] of `CONFIDENCE`."""
    tail = 50 * (1 - CONFIDENCE)
    return np.percentile(replicates, [tail, 100 - tail]).tolist()


def p_value(difference: float, replicates: Sequence[float]) -> float:
    """Return the two-sided p-value of a difference between two systems, given its paired replicates.

    Under the hypothesis of no difference, the replicates are centred on 0 (Riezler and Maxwell 2005, shift method): p
    is the share that lie at least as far from their mean as `difference` from 0, the observed one counted as one.
    """
    centred = np.asarray(replicates) - np.mean(replicates)
    return float((1 + np.sum(np.abs(centred) >= abs(difference))) / (1 + len(centred)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number, so that the chance of any false positive holds (Holm 1979)."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected
