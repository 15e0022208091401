"""Paired comparisons between the students of a task: who leads, who has collapsed, and files that do not fit."""

import re
import shutil

import numpy as np
import pytest
import warm
from fdistill.artifacts.files import read_json, write_json
from fdistill.evaluation.aggregate import RISKS
from fdistill.evaluation.comparisons import Measurement, compare, compare_task
from fdistill.evaluation.replicates import beside, write_replicates
from fdistill.evaluation.resampling import REPLICATES, holm, replicate_mean
from fdistill.runtime.errors import UserError


def measurement(mean, seed, noise=1.0):
    """A system whose values over 400 inputs have this mean; those of a seed share what is difficult in an input."""
    difficulty = np.random.default_rng(0).normal(size=400)
    values = difficulty + noise * np.random.default_rng(seed).normal(size=400)
    values += mean - values.mean()
    return Measurement([float(values.mean())], [replicate_mean(values)])


def test_leaders_are_all_that_the_best_is_not_better_than():
    systems = {"a": measurement(5.0, 1), "b": measurement(4.95, 2), "c": measurement(4.0, 3)}
    assert compare(systems, "higher")["leaders"] == ["a", "b"]
    assert compare(systems, "lower")["leaders"] == ["c"]


def test_a_pair_is_more_certain_than_its_intervals():
    """Both systems find the same inputs difficult, so that a difference within their intervals is significant."""
    systems = {"a": measurement(0.0, 1, noise=0.1), "b": measurement(0.05, 2, noise=0.1)}
    [pair] = compare(systems, "lower")["pairs"]
    assert pair["p_holm"] < 0.05 and pair["interval"][1] < 0 and pair["difference"] == pytest.approx(-0.05)
    assert np.percentile(systems["a"].replicates[0], 97.5) > systems["b"].mean


def test_corrected_for_the_number_of_pairs():
    """A difference that is significant between two systems is not among eight of them."""
    systems = {name: measurement(0.0, seed) for seed, name in enumerate("abcdefgh", start=1)}
    systems["a"] = measurement(0.18, 1)
    two = compare({name: systems[name] for name in "ab"}, "higher")
    assert 0.005 < two["pairs"][0]["p"] < 0.04 and two["best"] == "a"
    result = compare(systems, "higher")
    assert len(result["pairs"]) == 28 and result["leaders"] == list("abcdefgh") and result["best"] is None
    assert [pair["p_holm"] for pair in result["pairs"]] == holm([pair["p"] for pair in result["pairs"]])


def test_several_seeds_are_compared_seed_by_seed():
    """Systems that start from the same pre-distilled student differ by the same amount in every seed."""
    seeds = np.array([1.0, 4.0, 2.0, 7.0, 3.0])
    replicates = {name: [[value] * 100 for value in values] for name, values in (("a", seeds), ("b", seeds - 0.5))}
    alike = {name: Measurement(list(seeds - 0.5 * (name == "b")), replicates[name]) for name in "ab"}
    [pair] = compare(alike, "higher")["pairs"]
    assert pair["difference"] == pytest.approx(0.5) and pair["p"] < 1e-6
    shuffled = {**alike, "b": Measurement(list(seeds[::-1] - 0.5), replicates["b"])}
    assert compare(shuffled, "higher")["best"] is None


def test_below_the_teacher_is_collapse_only_beyond_chance():
    teacher = measurement(3.0, 9)
    systems = {"mle": measurement(4.0, 1), "tvd": measurement(2.99, 2), "engine": measurement(2.0, 3)}
    result = compare(systems, "lower", teacher)
    assert result["collapsed"] == ["engine"] and result["leaders"] == ["tvd"]


def test_no_system_or_one():
    assert compare({}, "higher") == {"pairs": [], "best": None, "leaders": [], "collapsed": []}
    alone = compare({"a": measurement(1.0, 1)}, "higher")
    assert alone["leaders"] == ["a"] and alone["best"] is None


def write(folder, system, values, n_inputs=400, seeds=("1",), task="t", signature="s"):
    """The metrics.json and risk.json of a system, with their replicates."""
    paths = []
    title = {"title": "BLEU-4", "direction": "higher", "signature": signature, "missing": None}
    for name, field, key, more in (("metrics", "metrics", "bleu4", title), ("risk", "risks", "r_llh_token", {})):
        path = folder / f"{system}.{name}.json"
        entry = {"mean": None if values is None else values.mean, "std": None, "interval": None}
        entry["seeds"] = dict.fromkeys(seeds, entry["mean"])
        lineage = {"task": task, "method": system}
        others = {"mean": None, "std": None, "interval": None, "seeds": dict.fromkeys(seeds)}
        entries = (dict.fromkeys(RISKS, others) if name == "risk" else {}) | {key: entry | more}
        file = {"task": task, "method": system, "n_inputs": n_inputs, field: entries, "lineage": lineage}
        write_json(path, file)
        write_replicates(path, {key: values and [*values.replicates] * len(seeds)}, lineage)
        paths.append(path)
    return paths


def test_script_compares_every_metric_and_risk(tmp_path):
    files = [
        write(tmp_path, system, values)
        for system, values in {
            "teacher": measurement(3.0, 9),
            "kl": measurement(4.0, 1),
            "engine": measurement(2.0, 3),
            "js": None,
        }.items()
    ]
    metrics, risks = zip(*files, strict=True)
    output = tmp_path / "comparisons.json"
    arguments = ("--students", "kl", "engine", "js", "--task", "t", "--output", output)
    done = warm.run_script("compare", "--metrics", *metrics, "--risks", *risks, *arguments)
    assert done.returncode == 0, done.stdout
    result = read_json(output)["metrics"]
    assert result["bleu4"]["leaders"] == ["kl"] and result["bleu4"]["missing"] == ["js"]
    assert result["r_llh_token"]["leaders"] == ["kl"] and result["r_llh_token"]["collapsed"] == ["engine"]
    assert set(result) == {"bleu4", *RISKS} - {"teacher_dist"}  # which is of the teacher, not of a student


def test_files_that_cannot_be_compared(tmp_path):
    one = write(tmp_path, "kl", measurement(1.0, 1))
    teacher = write(tmp_path, "teacher", measurement(1.0, 9))
    for more, message in [
        ({"n_inputs": 5}, "has the test inputs 5, but .* has 400"),
        ({"seeds": ("1", "2")}, r"js: has the seeds of bleu4 \['1', '2'\], but kl has \['1'\]"),
        ({"task": "u"}, "belongs to another task"),
        ({"signature": "t"}, "js: has the signature of bleu4 t, but kl has s"),
    ]:
        other = write(tmp_path, "js", measurement(1.0, 2), **more)
        with pytest.raises(UserError, match=message):
            compare_task([one[0], other[0]], [teacher[1], one[1], other[1]], ["kl", "js"], "t")
    with pytest.raises(UserError, match="a second file of 'kl'; give one"):
        compare_task([one[0], one[0]], [one[1]], ["kl"], "t")
    stale = write(tmp_path, "stale", measurement(1.0, 2), seeds=("1", "2"))
    write_replicates(stale[0], {"bleu4": [[1.0] * 100]}, {"task": "t", "method": "stale"})
    with pytest.raises(UserError, match="the replicates beside it are not of its seeds"):
        compare_task([stale[0]], [], ["stale"], "t")
    for students, mistake in ((["kl", "kl"], "'kl' is given twice"), (["kl", "teacher"], "'teacher' is no student")):
        with pytest.raises(UserError, match=mistake):
            compare_task([one[0]], [one[1]], students, "t")
    stranger = write(tmp_path, "copy", measurement(1.0, 1))
    with pytest.raises(UserError, match=re.escape("'copy' is no student of --students (kl, js)")):
        compare_task([one[0], stranger[0]], [one[1]], ["kl", "js"], "t")


def test_without_the_teachers_risks_none_are_compared(tmp_path):
    """A student that has collapsed would be the best."""
    kl, engine = (write(tmp_path, name, measurement(mean, 1)) for name, mean in (("kl", 4.0), ("engine", 2.0)))
    with pytest.raises(UserError, match=r"--risks: the risk.json of 'teacher' is missing; give it, without which"):
        compare_task([kl[0], engine[0]], [kl[1], engine[1]], ["kl", "engine"], "t")
    assert compare_task([kl[0], engine[0]], [], ["kl", "engine"], "t")["metrics"]["bleu4"]["best"] == "kl"


def test_few_inputs_are_noted_only_where_there_are_intervals(tmp_path):
    files = [write(tmp_path, name, measurement(4.0, 1), n_inputs=2) for name in ("teacher", "kl")]
    found = compare_task([files[1][0]], [risk for _, risk in files], ["kl"], "t")["metrics"]
    assert {key for key, metric in found.items() if metric["notes"]} == {"bleu4", "r_llh_token"}


def test_a_student_without_its_file_is_refused(tmp_path):
    teacher, kl = (write(tmp_path, name, measurement(4.0, 1)) for name in ("teacher", "kl"))
    js = write(tmp_path, "js", measurement(4.0, 2))
    with pytest.raises(UserError, match=r"--metrics: the metrics.json of 'klx' is missing; give it, or leave 'klx'"):
        compare_task([kl[0]], [teacher[1], kl[1]], ["kl", "klx"], "t")
    with pytest.raises(UserError, match=r"--risks: the risk.json of 'js' is missing"):
        compare_task([kl[0], js[0]], [teacher[1], kl[1]], ["kl", "js"], "t")


def test_a_teacher_of_several_seeds_has_those_of_the_students(tmp_path):
    kl = write(tmp_path, "kl", measurement(4.0, 1), seeds=("1", "2", "3"))
    for seeds in (("1",), ("1", "2", "3")):
        teacher = write(tmp_path, "teacher", measurement(3.0, 9), seeds=seeds)
        compared = compare_task([kl[0]], [teacher[1], kl[1]], ["kl"], "t")["metrics"]["r_llh_token"]
        assert compared["collapsed"] == [] and compared["seeds"] == ["1", "2", "3"]
    teacher = write(tmp_path, "teacher", measurement(3.0, 9), seeds=("1", "2"))
    with pytest.raises(UserError, match=r"teacher: has the seeds of r_llh_token \['1', '2'\], but kl has"):
        compare_task([kl[0]], [teacher[1], kl[1]], ["kl"], "t")


def test_files_of_the_other_kind_are_refused_with_the_flag_they_belong_to(tmp_path):
    metrics, risks = write(tmp_path, "kl", measurement(4.0, 1))
    with pytest.raises(UserError, match=r"kl.risk.json: has risks, not metrics; give it with --risks"):
        compare_task([risks], [metrics], ["kl"], "t")


def test_replicates_of_another_system_are_refused(tmp_path):
    kl, js = (write(tmp_path, name, measurement(mean, 1)) for name, mean in (("kl", 4.0), ("js", 2.0)))
    shutil.copy(beside(js[0]), beside(kl[0]))
    with pytest.raises(UserError, match=r"kl.metrics.replicates.parquet: belongs to another method .*\(js, not kl\)"):
        compare_task([kl[0]], [], ["kl"], "t")


def test_replicates_without_a_metric_that_has_values_are_refused(tmp_path):
    """Its student would be left out of the comparison as one without a value."""
    kl = write(tmp_path, "kl", measurement(4.0, 1))
    write_replicates(kl[0], {}, {"task": "t", "method": "kl"})
    with pytest.raises(UserError, match=r"kl.metrics.json: the replicates beside it are not of its seeds"):
        compare_task([kl[0]], [], ["kl"], "t")


@pytest.mark.parametrize(
    ("replicates", "message"),
    [
        ([[1.0] * 99 + [float("inf")]], r"js.metrics.replicates.parquet: 'bleu4' must have as many finite numbers"),
        ([[1.0] * 99], r"js.metrics.json: has the number of replicates 99, but .*kl.metrics.json has"),
    ],
)
def test_damaged_replicates_are_refused(replicates, message, tmp_path):
    kl, js = (write(tmp_path, name, measurement(4.0, 1)) for name in ("kl", "js"))
    write_replicates(js[0], {"bleu4": replicates}, {"task": "t", "method": "js"})
    with pytest.raises(UserError, match=message):
        compare_task([kl[0], js[0]], [], ["kl", "js"], "t")


@pytest.mark.parametrize(
    ("students", "n_inputs", "seeds", "notes"),
    [
        (22, 400, ("1",), []),
        (23, 400, ("1",), ["no difference can be significant: with one seed and 253 tests, .* is 0.051 once"]),
        (23, 400, ("1", "2"), []),
        (2, 20, ("1",), []),
        (2, 19, ("1",), ["with fewer than 20 test inputs, here 19, intervals are too narrow"]),
        (2, 19, ("1", "2"), ["with fewer than 20 test inputs, here 19, intervals are too narrow"]),
    ],
)
def test_what_one_seed_or_few_inputs_cannot_say_is_noted(students, n_inputs, seeds, notes, tmp_path):
    """With one seed no p-value is below 1/5001. A bootstrap over few inputs varies too little, also with more seeds."""
    names = [f"s{number}" for number in range(students)]
    value = Measurement([1.0], [[1.0] * REPLICATES])
    files = [write(tmp_path, name, value, n_inputs=n_inputs, seeds=seeds)[0] for name in names]
    found = compare_task(files, [], names, "t")["metrics"]["bleu4"]["notes"]
    assert len(found) == len(notes) and all(map(re.search, notes, found))
