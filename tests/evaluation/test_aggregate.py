"""The scripts that score outputs and aggregate seeds: values, deviations, missing metrics and refusals."""

import json
import subprocess
import sys

import pytest
from fdistill.artifacts.files import write_json, write_parquet
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation.aggregate import aggregate_risks, aggregate_scores, main_metric
from fdistill.evaluation.replicates import read_replicates, write_replicates
from fdistill.evaluation.resampling import interval
from fdistill.runtime.errors import UserError
from metric_examples import HYPOTHESES, REFERENCES, naive_bleu
from snake import ROOT

SCRIPTS = ROOT / "workflow" / "scripts"


def run(script, *arguments):
    command = [sys.executable, SCRIPTS / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def files(tmp_path):
    ids = ["a", "b", "c"]
    split = {"id": ids, "group": ids, "source": ids, "references": REFERENCES}
    write_parquet(tmp_path / "test.parquet", split, SPLIT)

    def generations(ids):
        rows = {"id": ids, "hypothesis": HYPOTHESES, "n_tokens": [3] * 3, "finished": [True] * 3}
        write_parquet(tmp_path / "generate.parquet", rows, GENERATIONS)

    generations(ids)
    return tmp_path, generations


def score(folder, *more):
    return run(
        *("score.py", "--test", folder / "test.parquet", "--generations", folder / "generate.parquet"),
        *("--metrics", "bleu4", "bleurt", "--task", "t", "--method", "kl", "--seed", "1"),
        *("--output", folder / "score.json", *more),
    )


def test_score_script(files):
    folder, _ = files
    done = score(folder, "--metric-options", '{"bleu4": {"lowercase": true}}')
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "score.json").read_text())
    assert (result["task"], result["method"], result["seed"], result["n_inputs"]) == ("t", "kl", 1, 3)
    assert result["metrics"]["bleu4"]["value"] == pytest.approx(naive_bleu(4))
    assert "case:lc" in result["metrics"]["bleu4"]["signature"]
    assert result["versions"]["sacrebleu"]
    replicates = read_replicates(folder / "score.json")
    assert list(replicates) == ["bleu4"]
    assert min(replicates["bleu4"][0]) < result["metrics"]["bleu4"]["value"] < max(replicates["bleu4"][0])
    assert "bleurt: missing" in done.stderr


@pytest.mark.parametrize("ids", [["a", "c", "b"], ["a", "b", "x"]])
def test_score_script_refuses_outputs_of_another_split(files, ids):
    folder, generations = files
    generations(ids)
    done = score(folder)
    assert done.returncode == 1
    assert "generate.parquet: row" in done.stderr and "Traceback" not in done.stderr
    assert not (folder / "score.json").exists()


def test_score_script_refuses_bad_options(files):
    folder, _ = files
    assert "must map a metric" in score(folder, "--metric-options", '{"bleu4": 1}').stderr


def score_file(path, seed, bleu, signature="s", missing=None, **more):
    metrics = {
        "bleu4": {
            **{"title": "BLEU-4", "direction": "higher"},
            **{"value": bleu, "signature": signature, "missing": missing},
        }
    }
    common = {"task": "t", "method": "kl", "seed": seed, "n_inputs": 5, "versions": {"sacrebleu": "2"}}
    write_json(path, common | {"metrics": metrics} | more)
    replicates = None if bleu is None else [[bleu - 1, bleu + 1]]
    write_replicates(path, {"bleu4": replicates}, {})
    return path


def test_aggregate_script_gives_mean_and_sample_deviation(tmp_path):
    paths = [score_file(tmp_path / f"{seed}.json", seed, bleu) for seed, bleu in ((10, 7.0), (2, 1.0), (1, 4.0))]
    done = run("metrics.py", "--scores", *paths, "--seeds", 1, 2, 10, "--output", tmp_path / "metrics.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "metrics.json").read_text())
    entry = result["metrics"]["bleu4"]
    assert entry["mean"] == pytest.approx(4.0) and entry["std"] == pytest.approx(3.0)
    assert read_replicates(tmp_path / "metrics.json")["bleu4"] == [[3.0, 5.0], [0.0, 2.0], [6.0, 8.0]]
    assert entry["interval"] == pytest.approx(interval([4.0, 1.0, 7.0], [[3.0, 5.0], [0.0, 2.0], [6.0, 8.0]]))
    assert list(entry["seeds"].items()) == [("1", 4.0), ("2", 1.0), ("10", 7.0)]
    assert entry["signature"] == "s" and entry["missing"] is None and result["versions"] == {"sacrebleu": "2"}
    assert aggregate_scores(paths[:1])[0]["metrics"]["bleu4"]["std"] is None


def test_aggregate_does_not_average_over_fewer_seeds(tmp_path):
    missing = {"reason": "no encoder", "fix": "fetch it"}
    paths = [score_file(tmp_path / "1.json", 1, 4.0), score_file(tmp_path / "2.json", 2, None, None, missing)]
    entry = aggregate_scores(paths)[0]["metrics"]["bleu4"]
    assert (
        entry["mean"] is None
        and entry["std"] is None
        and entry["interval"] is None
        and entry["seeds"] == {"1": 4.0, "2": None}
    )
    assert entry["missing"] == {"reason": "no encoder (seeds 2 of 2)", "fix": "fetch it"}


def test_aggregate_refusals(tmp_path):
    one = score_file(tmp_path / "1.json", 1, 4.0)
    for other, message in [
        (
            score_file(tmp_path / "a.json", 2, 4.0, signature="z"),
            "'bleu4' was computed in different ways .*seed 1: s; seed 2: z",
        ),
        (score_file(tmp_path / "b.json", 1, 4.0), "seed 1 is given twice"),
        (score_file(tmp_path / "c.json", 2, 4.0, method="js"), "method is 'kl' and 'js'"),
        (score_file(tmp_path / "d.json", 2, 4.0, n_inputs=4), "n_inputs is '5' and '4'"),
        (score_file(tmp_path / "e.json", 2, 4.0, metrics={}), "seed 2 has the metrics "),
    ]:
        with pytest.raises(UserError, match=message):
            aggregate_scores([one, other])
    with pytest.raises(UserError, match="belongs to seed 1, not to 2, 3; "):
        aggregate_scores([one], [2, 3], "t", "kl")
    write_json(tmp_path / "f", {"task": "t"})
    with pytest.raises(UserError, match="key 'method' is missing"):
        aggregate_scores([tmp_path / "f"])


def test_aggregate_risks(tmp_path):
    values = {
        "r_llh_token": 1.0,
        "r_llh_sequence": 2.0,
        "r_cvg_token": None,
        "r_cvg_sequence": 3.0,
        "teacher_dist": 20,
    }
    for seed in (1, 2):
        risk = values | {"r_llh_token": float(seed)}
        path = tmp_path / f"{seed}.json"
        write_json(path, {"task": "t", "method": "kl", "seed": seed, "n_inputs": 5} | risk)
        write_replicates(path, {"r_llh_token": [[float(seed)] * 1000]}, {})
    result, replicates = aggregate_risks([tmp_path / "1.json", tmp_path / "2.json"])
    risks = result["risks"]
    assert risks["r_llh_token"] == {
        "mean": 1.5,
        "std": pytest.approx(0.5**0.5),
        "interval": interval([1.0, 2.0], [[1.0] * 1000, [2.0] * 1000]),
        "seeds": {"1": 1.0, "2": 2.0},
    }
    assert set(replicates) == {"r_llh_token"} and risks["r_cvg_token"]["interval"] is None
    assert risks["r_cvg_token"]["mean"] is None and risks["teacher_dist"]["std"] == 0


def test_the_main_metric_is_the_first_that_a_system_has():
    def file(**means):
        return {"metrics": {key: {"mean": mean} for key, mean in means.items()}}

    assert main_metric([file(bleu4=None, ter=1.0), file(bleu4=2.0, ter=1.0)]) == "bleu4"
    assert main_metric([file(bleurt=None, ter=1.0), file(bleurt=None, ter=2.0)]) == "ter"
    assert main_metric([file(bleu4=None)]) is None and main_metric([]) is None


def test_a_mean_over_fewer_seeds_than_asked_is_refused(tmp_path):
    path = score_file(tmp_path / "1.json", 1, 4.0)
    done = run("metrics.py", "--scores", path, "--seeds", 1, 2, 3, "--output", tmp_path / "metrics.json")
    assert done.returncode == 1 and "there is no file of seed 2, 3 beside it" in done.stderr
    assert not (tmp_path / "metrics.json").exists()
