"""How sure a number is: a bootstrap over test inputs, the variance over seeds, and paired tests between systems.

A metric over a test split is a function of sums over its inputs. Its bootstrap replicates are the same function of the
sums over inputs that are sampled with replacement (Efron and Tibshirani 1993). All systems on one split are sampled
alike, so that their replicates are paired.

A few seeds are too few to resample: that gives (S - 1)/S of their variance, and no tails. With several, the variance
over inputs, from the replicates, and that over seeds are added, less what a seed changes on single inputs, which is in
both. Student's t has the degrees of freedom of such a sum (Welch 1947, Satterthwaite 1946).
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from statistics import fmean

import numpy as np

REPLICATES = 5000
FEW_INPUTS = 20  # with fewer, 7 to 90 % of the differences between equal systems have p < 0.05
CHUNK = 100  # replicates whose samples are in memory at a time
CONFIDENCE = 0.95
SEED = 12345


def replicate(statistics: Sequence[Sequence[float]], value_of: Callable[[np.ndarray], float]) -> list[float]:
    """Return `REPLICATES` values of a metric, each over inputs sampled with replacement.

    `statistics` (N, K) has K numbers per input; `value_of` returns the metric for their sums (K,) over N inputs.
    """
    table = np.asarray(statistics, dtype=np.float64)
    n_inputs = len(table)
    values: list[float] = []
    for samples in sampled_inputs(n_inputs):
        counts = np.array([np.bincount(sample, minlength=n_inputs) for sample in samples], dtype=np.float64)
        values += [float(value_of(sums)) for sums in counts @ table]
    return values


def sampled_inputs(n_inputs: int) -> Iterator[np.ndarray]:
    """Yield the inputs of `REPLICATES` samples, in arrays (`CHUNK`, `n_inputs`)."""
    generator = np.random.default_rng(SEED)
    for _ in range(REPLICATES // CHUNK):
        yield generator.integers(n_inputs, size=(CHUNK, n_inputs))


@cache
def sampling() -> str:
    """Return a name for how inputs are sampled: replicates of two files with different ones are not paired.

    numpy does not promise that a seed gives the same numbers in every release.
    """
    first = next(sampled_inputs(100)).astype("<i8").tobytes()
    return f"{REPLICATES} replicates, {hashlib.sha256(first).hexdigest()[:16]}"


def replicate_mean(values: Sequence[float], scale: float = 1.0) -> list[float]:
    """Return the replicates of the mean of `values` (N,), one per input, times `scale`."""
    return replicate([[value] for value in values], lambda sums: scale * sums[0] / len(values))


def interval(values: Sequence[float], replicates: Sequence[Sequence[float]]) -> list[float]:
    """Return the interval [low, high] of `CONFIDENCE` for the mean of `values` (S,), one per seed.

    `replicates` (S, R) are those of each value, on the same samples. With one seed, the interval is their percentiles.
    """
    tail = (1 - CONFIDENCE) / 2
    if len(values) == 1:
        return np.quantile(replicates[0], [tail, 1 - tail]).tolist()
    from scipy import stats

    error, freedom = _error(values, replicates)
    half = error * float(stats.t.isf(tail, freedom))
    return [fmean(values) - half, fmean(values) + half]


def p_value(differences: Sequence[float], replicates: Sequence[Sequence[float]]) -> float:
    """Return the two-sided p-value of a difference between two systems: the mean of `differences` (S,), one per seed.

    `replicates` (S, R) are those of each difference, on the same samples. With one seed, they are centred on 0, as
    under the hypothesis of no difference (Riezler and Maxwell 2005, shift method): p is the share that lie at least as
    far from 0 as the difference, the observed one counted as one.
    """
    distance = abs(fmean(differences))
    if len(differences) == 1:
        centred = np.asarray(replicates[0]) - np.mean(replicates[0])
        return float((1 + np.sum(np.abs(centred) >= distance)) / (1 + len(centred)))
    from scipy import stats

    error, freedom = _error(differences, replicates)
    if error == 0:
        return float(distance == 0)
    return 2 * float(stats.t.sf(distance / error, freedom))


def _error(values: Sequence[float], replicates: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The standard error of the mean of `values` over seeds and inputs, and its degrees of freedom.

    The variance over inputs of a single seed's value is larger than that of the mean over seeds by what a seed changes
    on single inputs. Of this, the mean over seeds has the S-th part, and so has the variance over seeds.
    """
    freedom = len(values) - 1
    over_seeds = float(np.var(values, ddof=1)) / len(values)
    over_inputs = float(np.var(np.mean(replicates, axis=0)))
    in_both = (float(np.mean(np.var(replicates, axis=1))) - over_inputs) / freedom
    total = over_seeds + max(0.0, over_inputs - in_both)
    return math.sqrt(total), freedom * (total / over_seeds) ** 2 if over_seeds else math.inf


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number, so that the chance of any false positive holds (Holm 1979)."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def limits(n_seeds: int, n_inputs: int, n_tests: int) -> list[str]:
    """Return what the intervals and the p-values of `n_tests` tests, corrected together, cannot say, and the remedies.

    With one seed a p-value is a share of the replicates, which has a smallest value.
    """
    notes, smallest = [], n_tests / (REPLICATES + 1)
    if n_seeds == 1 and smallest > 1 - CONFIDENCE:
        notes.append(
            f"no difference can be significant: with one seed and {n_tests} tests, the smallest p-value that there is "
            f"is {smallest:.3f} once it is corrected. Remedy: test fewer pairs, metrics or tasks, or use several seeds."
        )
    if n_inputs < FEW_INPUTS:
        notes.append(
            f"with fewer than {FEW_INPUTS} test inputs, here {n_inputs}, intervals are too narrow and p-values too "
            "small. Remedy: use more."
        )
    return notes
