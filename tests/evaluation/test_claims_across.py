"""Claims that a method is better on one task than on another: paired over the same test inputs, or refused."""

import numpy as np
import pytest
import warm
import yaml
from fdistill.artifacts.files import write_json
from fdistill.config.claim_checks import KEYS
from fdistill.evaluation.claims import FAILS, HOLDS, MISSING, UNDECIDED, decide_claims
from fdistill.evaluation.comparisons import compare_task
from fdistill.evaluation.replicates import write_replicates
from fdistill.evaluation.resampling import replicate_mean
from fdistill.evaluation.tables.claims import claims_markdown, claims_table
from fdistill.evaluation.texts import Texts
from fdistill.runtime.errors import UserError
from paper_tables import rows_of
from scipy import stats

TEXTS = Texts({"bart": {"title": "BART"}, "gpt": {"title": "GPT-2"}}, {"kl": "KL", "sft": "SFT"})
N = 400
DIFFICULTY = np.random.default_rng(0).normal(size=N)  # of each test input, for every system
TITLES = {"bleu4": ("BLEU-4", "higher"), "ter": ("TER", "lower")}


def write_task(folder, task, means, seeds=1, data="a version", signature="s"):
    """The metrics of a task's students, and the comparisons; `means` by system and metric."""
    files = {}
    for noise, (system, of_metrics) in enumerate(means.items()):
        entries, replicates = {}, {}
        for metric, mean in of_metrics.items():
            by_seed = {}
            for seed in range(1, seeds + 1):
                values = np.random.default_rng([len(task), noise]).normal(size=N) * 0.5  # the same in every seed
                values += 5 * DIFFICULTY
                by_seed[str(seed)] = values + mean + 0.02 * seed - values.mean()
            replicates[metric] = [replicate_mean(values) for values in by_seed.values()]
            title, direction = TITLES[metric]
            entries[metric] = {"title": title, "direction": direction, "mean": mean, "std": None, "interval": None}
            entries[metric] |= {"seeds": {seed: float(values.mean()) for seed, values in by_seed.items()}}
            entries[metric] |= {"signature": signature, "missing": None}
        place = {"task": task, "method": system}
        files[task, system] = folder / f"{task}.{system}.json"
        lineage = place | ({"data": data} if data else {})
        content = {**place, "n_inputs": N, "metrics": entries, "versions": {}, "lineage": lineage}
        write_json(files[task, system], content)
        write_replicates(files[task, system], replicates, lineage)
    compared = compare_task(list(files.values()), [], list(means), task)
    write_json(folder / f"{task}.comparisons.json", compared)
    return files


def claim(better, than_on, **others):
    empty = dict.fromkeys(KEYS)
    return empty | {"text": "A claim.", "source": "A paper.", "better": better, "than_on": than_on} | others


def study(folder, bart, gpt, **gpts):
    """What `decide_claims` reads of two tasks."""
    seeds = gpts.get("seeds", 1)
    metrics = write_task(folder, "bart", bart, seeds) | write_task(folder, "gpt", gpt, **gpts)
    paths = [folder / f"{task}.comparisons.json" for task in ("bart", "gpt")]
    return paths, metrics


def decide(files, **claims):
    paths, metrics = files
    return {found["name"]: found for found in decide_claims(claims, paths, TEXTS, metrics=metrics)["claims"]}


BART = {"kl": {"bleu4": 11.0, "ter": 50.0}, "sft": {"bleu4": 10.0, "ter": 52.0}}
GPT = {"kl": {"bleu4": 10.0, "ter": 51.0}, "sft": {"bleu4": 10.01, "ter": 51.0}}
PAIR = {"bart": "gpt"}


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_test_is_the_paired_difference_of_one_method_on_both_tasks(seeds, tmp_path):
    """Beside a naive computation from the inputs' own numbers; unpaired, the interval would be ten times as wide."""
    files = study(tmp_path, BART, GPT, seeds=seeds)
    found = decide(files, x=claim(["kl"], PAIR))["x"]
    bleu, ter = found["tests"]
    assert found["verdict"] == HOLDS and found["tasks"] == {"bart": HOLDS}
    assert (bleu["task"], bleu["than_task"], bleu["better"], bleu["than"]) == ("bart", "gpt", "kl", "kl")
    assert bleu["value"] == pytest.approx(1) and ter["value"] == pytest.approx(-1)  # lower is better in TER
    half = (bleu["interval"][1] - bleu["interval"][0]) / 2
    assert half == pytest.approx(stats.norm.isf(0.025) * 0.5 * 2**0.5 / N**0.5, rel=0.15)
    assert bleu["p_holm"] >= bleu["p"] and found["why"].startswith("2 cases: 2 for it.")


def test_it_fails_the_other_way_round_and_may_be_undecided_or_bounded(tmp_path):
    files = study(tmp_path, BART, GPT)
    found = decide(
        files,
        turned=claim(["kl"], {"gpt": "bart"}, metrics=["bleu4"]),
        equal=claim(["sft"], PAIR, metrics=["bleu4"]),
        close=claim(["sft"], PAIR, metrics=["bleu4"], at_least=-1),
        worse=claim(["sft"], PAIR, metrics=["ter"], at_least=-0.5),
    )
    verdicts = {name: one["verdict"] for name, one in found.items()}
    assert verdicts == {"turned": FAILS, "equal": UNDECIDED, "close": HOLDS, "worse": FAILS}
    assert "Against it: KL is worse on GPT-2 than on BART in BLEU-4." in found["turned"]["why"]
    assert "Against it: SFT is better on BART than on GPT-2 in TER by −1.00 (−1.0" in found["worse"]["why"]
    assert found["worse"]["quantity"] == "advantage"


def test_the_page_says_both_tasks(tmp_path):
    paths, metrics = study(tmp_path, BART, GPT)
    decided = decide_claims({"x": claim(["kl"], PAIR, metrics=["bleu4"])}, paths, TEXTS, metrics=metrics)
    titles = {"bart": "BART", "gpt": "GPT-2"}
    tests = rows_of(claims_markdown(decided, titles, TEXTS.systems))[1]
    assert tests[2][:4] == ["BART", "BLEU-4 ↑", "KL", "KL, on GPT-2"] and tests[2][-1] == "✓ holds"
    assert list(claims_table(decided, titles).cells.iloc[0])[1:] == ["✓ holds", "✓ holds", "–"]


def test_what_a_study_lacks_is_said(tmp_path):
    gpt = {"kl": {"bleu4": 10.0}, "sft": {"bleu4": 10.0}}
    files = study(tmp_path, BART, gpt)
    found = decide(
        files,
        method=claim(["kl", "js"], PAIR, metrics=["bleu4"]),
        metric=claim(["kl"], PAIR),
        pair=claim(["kl"], {"bart": "llama", "t5": "gpt"}),
    )
    assert {one["verdict"] for one in found.values()} == {MISSING}
    reasons = {name: one["missing"]["reason"] for name, one in found.items()}
    assert reasons == {
        "method": "the study has no student js on bart",
        "metric": "gpt is not scored by ter",
        "pair": "the study has no bart beside llama and no t5 beside gpt, which the claim is about",
    }
    assert [test["verdict"] for test in found["metric"]["tests"]] == [HOLDS, MISSING]
    assert found["pair"]["missing"]["fix"] == "add such a pair to the study's tasks"


def test_metrics_of_other_signatures_are_not_compared(tmp_path):
    found = decide(study(tmp_path, BART, GPT, signature="tokenize:none"), x=claim(["kl"], PAIR))["x"]
    assert "BLEU-4 is computed in different ways on bart (s) and gpt (tokenize:none)" in found["missing"]["reason"]


@pytest.mark.parametrize("data", ["another version", None])
def test_other_data_are_refused(data, tmp_path):
    files = study(tmp_path, BART, GPT, data=data)
    words = r"gpt.kl.json: does not belong to the same version of the data as .*bart.kl.json; a claim compares the two"
    with pytest.raises(UserError, match=words):
        decide(files, x=claim(["kl"], PAIR))
    assert decide(files, x=claim(["kl"], None, than=["sft"], tasks=["bart"]))["x"]["verdict"] == HOLDS


def test_a_file_that_is_not_given_is_named(tmp_path):
    paths, metrics = study(tmp_path, BART, GPT)
    del metrics["gpt", "kl"]
    with pytest.raises(UserError, match=r"task 'gpt' with another one; give --metrics gpt/kl=FILE"):
        decide((paths, metrics), x=claim(["kl"], PAIR))


def test_script_reads_metrics(tmp_path):
    paths, metrics = study(tmp_path, BART, GPT)
    own = tmp_path / "own.yaml"
    entry = {"text": "BART is better.", "source": "We.", "better": ["kl"], "than_on": PAIR}
    own.write_text(yaml.safe_dump({"mine": entry}))
    given = [
        "--claims", own, "--comparisons", *(f"{path.name.split('.')[0]}={path}" for path in paths),
        "--metrics", *(f"{task}/{system}={path}" for (task, system), path in metrics.items()),
        "--json", tmp_path / "claims.json", "--markdown", tmp_path / "claims.md", "--table", tmp_path / "claims.html",
    ]  # fmt: skip
    done = warm.run_script("claims", *given)
    assert done.returncode == 0, done.stdout
    assert "mine: holds. 2 cases: 2 for it." in done.stdout
    swapped = [str(word).replace("bart/kl=", "bart/sft=") for word in given]
    done = warm.run_script("claims", *swapped)
    assert done.returncode == 1 and "belongs to another method" in done.stdout
