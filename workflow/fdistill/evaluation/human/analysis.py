"""What ratings say: how far annotators agree, each system's mean, and tests of the systems against the first of them.

The unit of means and tests is the test input, over whose annotators the mean is taken first: ratings of one text are no
independent observations.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import krippendorff
import numpy as np
from scipy import stats

from fdistill.evaluation.human.ratings import Ratings
from fdistill.evaluation.resampling import holm, interval, replicate_mean

TESTS = ("t", "wilcoxon")


def analyse(ratings: Ratings, key: dict[str, Any]) -> dict[str, Any]:
    """Return what annotators' ratings of the kit of `key` say.

    Returns {"task", "kit", "scale", "n_inputs", "n_ratings" (of an annotator who leaves out none), "annotators": {name:
    number of ratings}, "systems", "aspects": {title: {"direction", "alpha", "missing", "systems": {system: {"mean",
    "interval", "n_inputs", "n_ratings", "missing", "test"}}}}, "lineage"}. `test` is what `compare` returns of the
    system and the first one, which has none itself; the p-values of an aspect are corrected for their number (Holm).
    What cannot be computed is None, and `missing` beside it has {"reason", "fix"}.
    """
    places = _places(key)
    aspects = {}
    for k, aspect in enumerate(key["aspects"]):
        of_aspect = ratings.values[:, :, k]
        alpha, missing = agreement(of_aspect)
        by_system = {system: of_aspect[:, place] for system, place in places.items()}  # (A, N) each
        aspects[aspect["title"]] = {
            "direction": aspect["better"],
            "alpha": alpha,
            "missing": missing,
            "systems": _systems(by_system, aspect["better"]),
        }
    return {
        "task": key["task"],
        "kit": key["kit"],
        "scale": key["scale"],
        "n_inputs": len(next(iter(places.values()))),
        "n_ratings": ratings.values[0].size,
        "annotators": ratings.counts,
        "systems": key["systems"],
        "aspects": aspects,
        "lineage": key["lineage"],
    }


def _places(key: dict[str, Any]) -> dict[str, list[int]]:
    """The place in the key's items of each system's text for every input; equal texts are one item."""
    places: dict[str, list[int]] = {system: [] for system in key["systems"]}
    for place, item in enumerate(key["items"]):
        for system in item["systems"]:
            places[system].append(place)
    return places


def agreement(values: np.ndarray) -> tuple[float | None, dict[str, str] | None]:
    """Return Krippendorff's α (2011) of ordinal ratings (A, I), NaN where there is none; or None and why."""
    paired = values[:, np.sum(~np.isnan(values), axis=0) > 1]
    if not paired.size:
        return None, {"reason": "no text has two annotators' ratings", "fix": "let a second annotator rate the kit"}
    if np.nanmin(paired) == np.nanmax(paired):
        reason = f"all ratings are {np.nanmin(paired):.0f}, so that agreement by chance is complete too"
        return None, {"reason": reason, "fix": "rate more texts, or outputs that differ more"}
    return float(krippendorff.alpha(reliability_data=paired, level_of_measurement="ordinal")), None


def _systems(by_system: dict[str, np.ndarray], better: str) -> dict[str, dict[str, Any]]:
    """What is said of each system, from its ratings (A, N) by annotator and input; the first is the baseline."""
    entries = {system: _mean(ratings) for system, ratings in by_system.items()}
    baseline, *others = by_system
    sign = 1 if better == "higher" else -1
    tested = {system: compare(sign * (by_system[system] - by_system[baseline])) for system in others}
    for test in TESTS:
        computed = [result[test] for result in tested.values() if result[test]["p"] is not None]
        for entry, corrected in zip(computed, holm([entry["p"] for entry in computed]), strict=True):
            entry["p_holm"] = corrected
    for system in others:
        difference = tested[system]["difference"]
        entries[system]["test"] = tested[system] | {"difference": None if difference is None else sign * difference}
    return entries


def _mean(ratings: np.ndarray) -> dict[str, Any]:
    """A system's mean over inputs, from its ratings (A, N), and how sure it is."""
    means = over_annotators(ratings)
    counts = {"n_inputs": len(means), "n_ratings": int(np.sum(~np.isnan(ratings))), "test": None}
    if not means:
        missing = {"reason": "nobody has rated it", "fix": "ask the annotators to rate the rest of the kit"}
        return {"mean": None, "interval": None, **counts, "missing": missing}
    certainty = interval([fmean(means)], [replicate_mean(means)]) if len(means) > 1 else None
    return {"mean": fmean(means), "interval": certainty, **counts, "missing": None}


def over_annotators(ratings: np.ndarray) -> list[float]:
    """Return the mean of each input's ratings (A, N), without inputs that have none."""
    return [float(np.mean(of_input[~np.isnan(of_input)])) for of_input in ratings.T if not np.isnan(of_input).all()]


def compare(differences: np.ndarray) -> dict[str, Any]:
    """Test whether a system is better than another, one-sided: Student's paired t and Wilcoxon's signed ranks.

    `differences` (A, N) are its ratings less the other's, positive where it is better, NaN where an annotator has not
    rated both. Returns {"difference" (their mean), "n_inputs", "t": {"p", "p_holm"}, "wilcoxon": {"p", "p_holm"},
    "missing"}, with nothing in `p_holm`.
    """
    means = over_annotators(differences)
    p, missing = _p_values(means, same=not np.nansum(np.abs(differences)))
    tests = {test: {"p": value, "p_holm": None} for test, value in zip(TESTS, p, strict=True)}
    return {"difference": fmean(means) if means else None, "n_inputs": len(means), **tests, "missing": missing}


def _p_values(
    differences: Sequence[float], same: bool
) -> tuple[tuple[float | None, float | None], dict[str, str] | None]:
    """The p-values of both tests; None for one that cannot be computed, and why. `same`: no annotator sees any."""
    fix = "rate more inputs"
    if len(differences) < 2:
        return (None, None), {"reason": "fewer than two inputs have ratings of both systems", "fix": fix}
    if not any(differences):
        means = "both systems have the same mean rating in every input: annotators' differences cancel"
        return (None, None), {"reason": "both systems have the same ratings" if same else means, "fix": fix}
    wilcoxon = float(stats.wilcoxon(differences, alternative="greater").pvalue)
    if min(differences) == max(differences):
        return (None, wilcoxon), {
            "reason": "the difference is the same in every input, which leaves t no variance",
            "fix": "read Wilcoxon's test, which needs none",
        }
    return (float(stats.ttest_1samp(differences, 0, alternative="greater").pvalue), wilcoxon), None
