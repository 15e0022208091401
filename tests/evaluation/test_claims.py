"""Claims decided from comparisons of students: verdicts, what is missing, corrections, and files that do not fit."""

import re

import numpy as np
import pytest
import warm
import yaml
from bench_files import write_layers
from fdistill.artifacts.files import read_json, write_json
from fdistill.config.claim_checks import KEYS
from fdistill.evaluation.aggregate import RISKS
from fdistill.evaluation.claims import FAILS, HOLDS, MISSING, UNDECIDED, decide_claims
from fdistill.evaluation.comparisons import TEACHER, compare_metric
from fdistill.evaluation.resampling import holm, replicate_mean
from fdistill.evaluation.tables.claims import claim_tests, claims_markdown, claims_table
from fdistill.evaluation.texts import Texts
from fdistill.runtime.errors import UserError
from online_cases import write_times
from paper_tables import rows_of

TEXTS = Texts({"t": {"title": "Task"}, "u": {"title": "Other"}}, {"kl": "KL", "rkl": "RKL", "js": "JS", "tvd": "TVD"})
FEW, MANY = {"1": 0.0}, {"1": 0.01, "2": -0.01, "3": 0.0, "4": 0.02, "5": -0.02}  # by seed, what differs from the mean


def claim(better, than=None, **others):
    """A claim with its defaults."""
    empty = dict.fromkeys(KEYS)
    return empty | {"text": "A claim.", "source": "A paper.", "better": better, "than": than} | others


def entry(mean, title, direction, noise, seeds):
    """A metric's entry of one system, with replicates over 400 inputs; None for a system without a value."""
    if mean is None:
        return {"title": title, "direction": direction, "seeds": dict.fromkeys(seeds), "replicates": None}
    values = np.random.default_rng(noise).normal(size=400)
    values += mean - values.mean()
    by_seed = {seed: mean + shift for seed, shift in seeds.items()}
    replicates = [replicate_mean(values)] * len(seeds)
    return {"title": title, "direction": direction, "seeds": by_seed, "replicates": replicates}


METRICS = {"bleu4": ("BLEU-4", "higher"), "ter": ("TER", "lower"), "r_llh_token": ("R_llh/token", "lower")}


def compared(folder, means, task="t", seeds=FEW):
    """The file of comparisons of a task, from means by metric and system; standard errors of differences are 0.07."""
    students = list(dict.fromkeys(system for of_metric in means.values() for system in of_metric))
    metrics = {
        metric: compare_metric(
            metric,
            {system: entry(mean, *METRICS[metric], noise, seeds) for noise, (system, mean) in enumerate(found.items())},
            students,
        )
        | {"notes": []}
        for metric, found in means.items()
    }
    path = folder / f"{task}.json"
    write_json(
        path, {"task": task, "n_inputs": 400, "students": students, "metrics": metrics, "lineage": {"task": task}}
    )
    return path


def decide(paths, measured=None, unusable=(), **claims):
    return {found["name"]: found for found in decide_claims(claims, paths, TEXTS, measured, None, unusable)["claims"]}


CLEAR = {"bleu4": {"kl": 10.0, "rkl": 9.0, "js": 11.0, "tvd": 11.02}}


def test_a_claim_holds_fails_or_is_undecided(tmp_path):
    found = decide(
        [compared(tmp_path, CLEAR)],
        right=claim(["js", "tvd"], ["kl", "rkl"]),
        wrong=claim(["kl"], ["js", "rkl"]),
        open=claim(["tvd"], ["js"]),
    )
    assert {name: one["verdict"] for name, one in found.items()} == {"right": HOLDS, "wrong": FAILS, "open": UNDECIDED}
    assert found["right"]["why"] == "4 cases: 4 for it." and found["right"]["tasks"] == {"t": HOLDS}
    assert (
        found["wrong"]["why"] == "2 cases: 1 for it, 1 against it. Against it: KL is worse than JS in BLEU-4 on Task."
    )
    assert found["open"]["why"] == "1 case: 1 undecided."


def test_a_test_is_the_comparison_of_its_pair_in_either_order(tmp_path):
    path = compared(tmp_path, CLEAR)
    [pair] = [pair for pair in read_json(path)["metrics"]["bleu4"]["pairs"] if {pair["a"], pair["b"]} == {"kl", "js"}]
    [as_stored] = decide([path], x=claim(["kl"], ["js"]))["x"]["tests"]
    [turned] = decide([path], x=claim(["js"], ["kl"]))["x"]["tests"]
    assert (as_stored["value"], as_stored["interval"]) == (pair["difference"], pair["interval"])
    assert turned["value"] == pytest.approx(1) and turned["interval"] == [
        -as_stored["interval"][1],
        -as_stored["interval"][0],
    ]
    assert (as_stored["verdict"], turned["verdict"]) == (FAILS, HOLDS) and as_stored["p"] == turned["p"] == pair["p"]


def test_lower_is_better_in_errors_and_risks(tmp_path):
    path = compared(tmp_path, {"ter": {"kl": 10.0, "js": 9.0}, "r_llh_token": {"kl": 1.0, "js": 2.0}})
    found = decide(
        [path],
        scores=claim(["js"], ["kl"]),  # without metrics: all but the risks
        risk=claim(["kl"], ["js"], metrics=["r_llh_token"]),
        both=claim(["js"], ["kl"], metrics=["ter", "r_llh_token"]),
    )
    assert [test["metric"] for test in found["scores"]["tests"]] == ["ter"]
    assert {name: one["verdict"] for name, one in found.items()} == {"scores": HOLDS, "risk": HOLDS, "both": FAILS}


def test_one_of_the_others_is_enough_for_each_better_method(tmp_path):
    """Between two others or below both: below one of them. Above both is against it."""
    means = {"kl": 2.0, "rkl": 1.0, "js": 1.5, "tvd": 0.5}
    between = claim(["js", "tvd"], than_one_of=["kl", "rkl"], metrics=["r_llh_token"])
    found = decide([compared(tmp_path, {"r_llh_token": means})], x=between)["x"]
    assert found["verdict"] == HOLDS and FAILS in [test["verdict"] for test in found["tests"]]
    assert found["why"] == "2 cases that hold if one of their tests does: 2 for it."
    found = decide([compared(tmp_path, {"r_llh_token": means | {"js": 2.5}})], x=between)["x"]
    assert found["verdict"] == FAILS and "1 for it, 1 against it" in found["why"]
    assert "JS is worse than KL in R_llh/token on Task; JS is worse than RKL" in found["why"]
    found = decide([compared(tmp_path, {"r_llh_token": means | {"js": 2.02}})], x=between)["x"]
    assert found["verdict"] == UNDECIDED


def test_p_values_are_corrected_for_the_tests_of_the_claim_alone(tmp_path):
    """A difference that is significant by itself is not among others, and another claim changes nothing."""
    path = compared(tmp_path, {"bleu4": {"kl": 0.0, "js": 0.16, "rkl": 0.0, "tvd": 0.0, "mle": 0.0, "seqkd": 0.0}})
    alone, many = claim(["js"], ["kl"]), claim(["js", "tvd", "rkl"], ["kl", "mle", "seqkd"])
    found = decide([path], alone=alone, many=many)
    assert found["alone"]["verdict"] == HOLDS
    tests = found["many"]["tests"]
    assert [test["p_holm"] for test in tests] == holm([test["p"] for test in tests])
    [same] = [test for test in tests if (test["better"], test["than"]) == ("js", "kl")]
    assert 0.005 < same["p"] < 0.05 < same["p_holm"] and same["verdict"] == UNDECIDED
    assert decide([path], alone=alone)["alone"] == found["alone"]


def test_every_task_counts(tmp_path):
    swapped = {"bleu4": {"kl": 11.0, "rkl": 9.0, "js": 10.0, "tvd": 11.02}}
    paths = [compared(tmp_path, CLEAR), compared(tmp_path, swapped, task="u")]
    found = decide(paths, x=claim(["js"], ["kl"]), first=claim(["js"], ["kl"], tasks=["t", "v"]))
    assert found["x"]["tasks"] == {"t": HOLDS, "u": FAILS} and found["x"]["verdict"] == FAILS
    assert found["first"]["tasks"] == {"t": HOLDS} and found["first"]["verdict"] == HOLDS


def test_what_the_tests_of_a_claim_cannot_say_is_said(tmp_path):
    """With one seed no p-value is below 1/5001, which 251 tests make 0.05; with few inputs p-values are too small."""
    path = compared(tmp_path, CLEAR)
    content = read_json(path)
    write_json(path, content | {"n_inputs": 3})
    assert "With fewer than 20 test inputs, here 3, intervals" in decide([path], x=claim(["js"], ["kl"]))["x"]["why"]
    titles = {f"m{number}": content["metrics"]["bleu4"] for number in range(251)}
    write_json(path, content | {"metrics": titles})
    found = decide([path], x=claim(["js"], ["kl"]))["x"]
    assert found["verdict"] == UNDECIDED and "No difference can be significant: with one seed and 251" in found["why"]
    assert decide([path], x=claim(["js"], ["kl"], metrics=["m0"]))["x"]["why"] == "1 case: 1 for it."


# --- bounds, ratios and trends


def test_a_bound_is_decided_by_the_interval(tmp_path):
    """Differences of -0.5 ± 0.14 and, in errors, of +0.5: worse, but by less than one; +1 ± 0.14 is around one."""
    path = compared(tmp_path, {"bleu4": {"kl": 9.5, "js": 10.0}, "ter": {"kl": 10.5, "js": 10.0}})
    found = decide(
        [path],
        close=claim(["kl"], ["js"], at_least=-1),
        closer=claim(["kl"], ["js"], at_least=-0.1),
        around=claim(["kl"], ["js"], at_least=-0.5),
        equal=claim(["kl"], ["js"], at_least=-1, at_most=1),
        above=claim(["js"], ["kl"], at_least=0.3),
        below=claim(["js"], ["kl"], at_most=0.1),
    )
    verdicts = {name: one["verdict"] for name, one in found.items()}
    assert verdicts == dict(close=HOLDS, closer=FAILS, around=UNDECIDED, equal=HOLDS, above=HOLDS, below=FAILS)
    assert {test["p"] for one in found.values() for test in one["tests"]} == {None}
    assert [test["value"] for test in found["closer"]["tests"]] == pytest.approx([-0.5, -0.5])  # also in errors
    assert all(low < -0.5 < high for low, high in (test["interval"] for test in found["closer"]["tests"]))
    assert "KL is better than JS in BLEU-4 on Task by −0.50 (−0.6" in found["closer"]["why"]
    assert "KL is better than JS in TER on Task by −0.50 (−0.6" in found["closer"]["why"]
    decided = decide_claims({"x": claim(["kl"], ["js"], at_least=-1)}, [path], TEXTS)
    page = claims_markdown(decided, {"t": "Task"}, TEXTS.systems)
    assert "The advantage is claimed to be at least −1." in page and "Advantage" in page


def test_a_measured_ratio_is_decided_by_its_interval(tmp_path):
    path, times = compared(tmp_path, CLEAR), tmp_path / "online.json"
    write_times(times, "t")  # 2.4, from 2.2 to 2.6
    faster = claim(None, measured="offline_speedup", at_least=2)
    found = decide(
        [path],
        {"online": {"t": times}},
        faster=faster,
        more=faster | {"at_least": 2.5},
        much=faster | {"at_least": 3},
        elsewhere=faster | {"tasks": ["u"]},
    )
    assert {name: one["verdict"] for name, one in found.items()} == {
        **dict(faster=HOLDS, more=UNDECIDED, much=FAILS, elsewhere=MISSING)
    }
    assert [(test["better"], test["than"], test["value"]) for test in found["faster"]["tests"]] == [
        ("js", "js_online", 2.4),
        ("tvd", "tvd_online", 2.4),
    ]
    assert "Speed-up of a training step, JS beside js_online, on Task is 2.40 (2.20 to 2.60)" in found["much"]["why"]
    missing = decide([path], faster=faster)["faster"]
    assert missing["verdict"] == MISSING and "has not measured offline_speedup on t" in missing["missing"]["reason"]
    assert "add js and js_online" in missing["missing"]["fix"]
    decided = decide_claims({"x": faster}, [path], TEXTS, {"online": {"t": times}})
    tests = rows_of(claims_markdown(decided, {"t": "Task"}, TEXTS.systems))[1]
    assert tests[0][4] == "Ratio" and tests[2][4:8] == ["2.400", "2.200 to 2.600", "–", "–"]  # no sign
    content = read_json(times)
    content["pairs"][0]["speedup"]["interval"] = None
    write_json(times, content)
    short = decide([path], {"online": {"t": times}}, faster=faster)["faster"]
    assert [test["verdict"] for test in short["tests"]] == [MISSING, HOLDS] and short["verdict"] == MISSING


def test_a_layers_ratio_is_that_of_the_forward_pass(tmp_path):
    path, times = compared(tmp_path, CLEAR), write_layers(tmp_path / "layers.json", "t")
    twice = claim(None, measured="decoder_layer", at_least=1.67, at_most=2.43)
    found = decide([path], {"layers": {"t": times}}, x=twice)["x"]
    assert (found["verdict"], found["tests"][0]["value"]) == (HOLDS, 2.0)
    content = read_json(times)
    for fit in content["fits"].values():
        fit["ratio"] = None
    write_json(times, content)
    missing = decide([path], {"layers": {"t": times}}, x=twice)["x"]["missing"]
    assert "encoder-decoder model" in missing["fix"]


def test_a_trend_is_a_rank_correlation_over_five_tasks(tmp_path):
    """RKL gains on KL with TeacherDist in every task: one order of 120, and as many the other way round."""
    trend, paths, teachers = claim(["rkl"], ["kl"], grows_with="teacher_dist"), [], {}
    for number in range(5):
        task = f"t{number}"
        metric, sign = ("ter", -1) if number % 2 else ("bleu4", 1)
        means = {"kl": 10.0, "rkl": 10.0 + sign * (number - 2)}
        paths.append(compared(tmp_path, {metric: means, "r_llh_token": means}, task=task))
        entry = {"mean": 20.0 + number, "std": None, "interval": None, "seeds": {"1": 20.0 + number}}
        teachers[task] = tmp_path / f"{task}.risk.json"
        risks = dict.fromkeys(RISKS, entry)
        write_json(teachers[task], {"task": task, "method": "teacher", "n_inputs": 400, "risks": risks})
    measured = {"teacher": teachers}
    found = decide(paths, measured, x=trend, turned=trend | {"better": ["kl"], "than": ["rkl"]})
    [test] = found["x"]["tests"]
    assert (found["x"]["verdict"], found["x"]["tasks"], test["task"]) == (HOLDS, {}, None)
    assert test["value"] == pytest.approx(1) and test["p"] == pytest.approx(2 / 120)
    assert found["turned"]["verdict"] == FAILS
    assert "KL is the further behind RKL the larger TeacherDist is" in found["turned"]["why"]
    page = claims_markdown(decide_claims({"x": trend}, paths, TEXTS, measured), {}, TEXTS.systems)
    assert rows_of(page)[1][2][:5] == ["All", "TeacherDist and the main metric", "RKL", "KL", "+1.000"]
    fewer = decide(paths[:4], measured, x=trend)["x"]
    assert fewer["verdict"] == MISSING and "tasks to rank: 4; with fewer than 5" in fewer["missing"]["reason"]
    without = decide(paths, measured, x=trend | {"than": ["engine"]})["x"]
    assert without["missing"]["reason"] == "the study has no student engine on t0"
    content = read_json(teachers["t1"])
    write_json(teachers["t1"], content | {"risks": content["risks"] | {"teacher_dist": entry | {"mean": None}}})
    assert decide(paths, measured, x=trend)["x"]["verdict"] == MISSING


# --- what is missing


def test_a_method_that_the_study_does_not_have(tmp_path):
    found = decide([compared(tmp_path, CLEAR)], x=claim(["js"], ["kl", "engine"]), y=claim(["kl"], ["js", "engine"]))
    assert found["x"]["verdict"] == MISSING and found["x"]["why"] == "2 cases: 1 for it, 1 n/a."
    assert found["x"]["missing"] == {
        "reason": "the study has no student engine on t",
        "fix": "add engine to the study's methods",
    }
    assert [test["verdict"] for test in found["x"]["tests"]] == [HOLDS, MISSING]
    assert found["y"]["verdict"] == FAILS and found["y"]["missing"] is None  # whatever ENGINE would do


@pytest.mark.parametrize(
    ("than", "fix"),
    [
        ("kl-hi", "add the size hi to model.student_sizes of task t"),
        ("engine-hi", "add engine to the study's methods, and the size hi to model.student_sizes of task t"),
        ("engine-3-1", "add engine to the study's methods"),
        ("rkl-3-1", "compare rkl-3-1 too (compare.py --students)"),
    ],
)
def test_the_remedy_for_a_size_names_where_it_is_set(than, fix, tmp_path):
    """A study's methods name no sizes, and every method is trained in each of a task's sizes."""
    path = compared(tmp_path, {"bleu4": CLEAR["bleu4"] | {"kl-3-1": 9.0}})
    assert decide([path], x=claim(["js"], [than]))["x"]["missing"]["fix"] == fix


@pytest.mark.parametrize(
    ("about", "is_possible"),
    [
        (claim(["js"], ["engine"]), False),
        (claim(["js"], ["kl-e2"]), False),  # such a task has one size
        (claim(None, measured="offline_speedup", at_least=2), False),
        (claim(["js"], ["seqkd"]), True),
    ],
)
def test_what_a_teacher_from_outside_does_not_allow_has_no_remedy_in_the_study(about, is_possible, tmp_path):
    paths = [compared(tmp_path, CLEAR)]
    own, other = (decide(paths, None, [(task, "engine")], x=about)["x"]["missing"]["fix"] for task in ("t", "u"))
    assert other.startswith("add ") and own.startswith("add " if is_possible else "none with a teacher from outside")


def test_an_advantage_of_nothing_is_no_negative_zero(tmp_path):
    path = compared(tmp_path, {"ter": {"kl": 1.0, "js": 2.0}})
    content = read_json(path)
    content["metrics"]["ter"]["pairs"][0] |= {"difference": 0.0, "interval": [0.0, 0.0]}
    write_json(path, content)
    [test] = decide([path], x=claim(["kl"], ["js"], at_least=1))["x"]["tests"]
    assert "-" not in str([test["value"], *test["interval"]])


def test_a_system_without_a_value_in_one_metric(tmp_path):
    path = compared(tmp_path, CLEAR | {"ter": {"kl": 10.0, "rkl": 9.0, "js": None, "tvd": 1.0}})
    found = decide([path], x=claim(["js", "tvd"], ["kl"]))["x"]
    assert found["verdict"] == MISSING and "3 for it, 1 n/a" in found["why"]
    assert found["missing"]["reason"] == "TER has no value for js on t" and "tables/main.md" in found["missing"]["fix"]
    [missing] = [test for test in found["tests"] if test["verdict"] == MISSING]
    assert (missing["metric"], missing["better"], missing["p"], missing["interval"]) == ("ter", "js", None, None)
    several = decide([path], x=claim(["js"], ["kl", "rkl", "engine"]))["x"]["missing"]
    assert several["reason"] == "the study has no student engine on t (and 1 more like it)"


def test_a_metric_or_a_task_that_the_study_does_not_have(tmp_path):
    found = decide(
        [compared(tmp_path, CLEAR)],
        metric=claim(["js"], ["kl"], metrics=["chrf"]),
        task=claim(["js"], ["kl"], tasks=["v"]),
    )
    assert {one["verdict"] for one in found.values()} == {MISSING}
    assert found["metric"]["missing"]["reason"] == "t is not scored by chrf" and found["metric"]["tasks"] == {
        "t": MISSING
    }
    assert found["task"]["missing"]["reason"] == "the study has no v, which the claim is about"
    assert (found["task"]["tests"], found["task"]["tasks"]) == ([], {})


def test_what_cannot_be_tested_says_why(tmp_path):
    missing = {"reason": "no times", "fix": "measure them"}
    found = decide([compared(tmp_path, CLEAR)], x=claim(None, missing=missing))["x"]
    assert (found["verdict"], found["missing"], found["tests"]) == (MISSING, missing, [])
    assert found["why"] == "Nothing in this study tests it."


def test_a_study_of_which_no_claim_can_be_decided_is_told_so_first(tmp_path):
    other, tested = claim(["js"], ["no_method"]), claim(["js"], ["kl"])
    for claims, is_told in (({"x": other}, True), ({"x": other, "y": tested}, False)):
        page = claims_markdown(decide_claims(claims, [compared(tmp_path, CLEAR)], TEXTS), {"t": "Task"}, TEXTS.systems)
        assert page.startswith("# Claims\n\nNone of these claims can be decided here") == is_told


# --- seeds, and files that do not belong together


def test_one_seed_says_nothing_of_another_and_several_do(tmp_path):
    for seeds, number, words in (
        (FEW, 1, "There is one seed: .* over test inputs"),
        (MANY, 5, "test inputs and 5 seeds"),
    ):
        decided = decide_claims({"x": claim(["js"], ["kl"])}, [compared(tmp_path, CLEAR, seeds=seeds)], TEXTS)
        assert decided["seeds"] == number
        assert re.search(words, claims_table(decided, {"t": "Task"}).caption)
    [test] = decided["claims"][0]["tests"]
    assert test["verdict"] == HOLDS


def test_files_of_two_studies_are_refused(tmp_path):
    one, other = compared(tmp_path, CLEAR), compared(tmp_path, CLEAR, task="u", seeds=MANY)
    with pytest.raises(UserError, match=r"u.json: has the seeds 1, 2, 3, 4, 5, but .*t.json has 1; give files of one"):
        decide([one, other], x=claim(["js"], ["kl"]))
    with pytest.raises(UserError, match=r"t.json: a second file of task 't'; give one of each task"):
        decide([one, one], x=claim(["js"], ["kl"]))


def test_a_file_of_an_earlier_version_is_refused(tmp_path):
    path = compared(tmp_path, CLEAR)
    content = read_json(path)
    del content["metrics"]["bleu4"]["seeds"]
    write_json(path, content)
    with pytest.raises(UserError, match=r"t.json: key 'metrics.bleu4.seeds' is missing"):
        decide([path], x=claim(["js"], ["kl"]))


def test_the_teacher_is_no_student(tmp_path):
    """R_llh is compared with the teacher's, too; a claim is about students."""
    path = compared(tmp_path, {"r_llh_token": {"kl": 2.0, "js": 1.0}})
    content = read_json(path)
    content["metrics"]["r_llh_token"]["pairs"].append(content["metrics"]["r_llh_token"]["pairs"][0] | {"b": TEACHER})
    write_json(path, content)
    assert len(decide([path], x=claim(["js"], ["kl"], metrics=["r_llh_token"]))["x"]["tests"]) == 1


# --- what is written


def test_the_page_has_verdicts_then_numbers(tmp_path):
    claims = {
        "right": claim(["js"], ["kl"], text="JS beats KL."),
        "none": claim(["js"], ["engine"], text="JS | ENGINE."),
        "partly": claim(["js"], ["kl", "engine"], text="JS beats both."),
    }
    decided = decide_claims(claims, [compared(tmp_path, CLEAR)], TEXTS)
    text = claims_markdown(decided, {"t": "Task", "u": "Other"}, TEXTS.systems)
    verdicts, tests, partly = rows_of(text.replace(r"\|", "/"))
    assert verdicts[0] == ["Claim", "All", "Task", "Other"]
    assert verdicts[2:4] == [["1. JS beats KL.", "✓ holds", "✓ holds", "–"], ["2. JS / ENGINE.", "– n/a", "– n/a", "–"]]
    assert tests[2][:5] == ["Task", "BLEU-4 ↑", "JS", "KL", "+1.000"] and tests[2][-1] == "✓ holds"
    assert partly[3][2:] == ["JS", "engine", "–", "–", "–", "–", "– n/a"]
    assert "N/a: the study has no student engine on t. Remedy: add engine to the study's methods." in text
    assert list(claim_tests(decided["claims"][0], {}, {}).cells.iloc[0, :4]) == ["t", "BLEU-4 ↑", "js", "kl"]
    decided["claims"][0]["tests"][0] |= {"p": 0.0112, "p_holm": 1e-9}
    assert list(claim_tests(decided["claims"][0], {}, {}).cells.iloc[0, 6:8]) == ["0.0112", "< 0.0001"]  # never 0


def test_script_reads_the_users_own_file_and_refuses_mistakes(tmp_path):
    path = compared(tmp_path, CLEAR)
    own = tmp_path / "own.yaml"
    own.write_text(
        yaml.safe_dump({"mine": {"text": "JS beats KL.", "source": "We.", "better": ["js"], "than": ["kl"]}})
    )
    outputs = ("--json", tmp_path / "claims.json", "--markdown", tmp_path / "claims.md", "--table", tmp_path / "x.html")
    arguments = ("--claims", own, "--comparisons", f"t={path}", "--unusable", "t=engine", *outputs)
    done = warm.run_script("claims", *arguments)
    assert done.returncode == 0, done.stdout
    assert "mine: holds. 1 case: 1 for it." in done.stdout
    [found] = read_json(tmp_path / "claims.json")["claims"]
    assert (found["name"], found["verdict"], found["source"]) == ("mine", HOLDS, "We.")
    assert "✓ holds" in (tmp_path / "claims.md").read_text() and "✓ holds" in (tmp_path / "x.html").read_text()
    records = [read_json(record) for record in tmp_path.glob("*.provenance.json")]
    assert records and all(
        {"own.yaml", "t.json"} <= {name.rsplit("/")[-1] for name in one["inputs"]} for one in records
    )
    (tmp_path / "claims.json").unlink()
    own.write_text(own.read_text().replace("better:", "beter:"))
    done = warm.run_script("claims", *arguments)
    assert done.returncode == 1 and f"{own}: mine.beter: unknown key; did you mean 'better'?" in done.stdout
    assert not (tmp_path / "claims.json").exists()
    own.write_text(own.read_text().replace("beter:", "better:"))
    done = warm.run_script("claims", "--claims", own, "--comparisons", f"u={path}", *outputs)
    assert done.returncode == 1 and str(path) in done.stdout
    done = warm.run_script("claims", *(str(word).replace("x.html", "x.csv") for word in arguments))
    assert done.returncode == 1 and "has no form as CSV; its numbers are in the JSON file" in done.stdout
    write_times(tmp_path / "online.json", "u")
    done = warm.run_script("claims", *arguments, "--online", f"t={tmp_path / 'online.json'}")
    assert done.returncode == 1 and "online.json: belongs to another task" in done.stdout
