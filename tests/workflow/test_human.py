"""The rules of a human evaluation: what they ask for, and that no answer of an annotator is lost."""

import os
import shutil

import human_cases as cases
import pytest
from fdistill.artifacts.files import read_json
from snake import planned, snakemake

KIT, TABLE = "results/data_to_text/human/annotate.html", "results/human/data_to_text.md"
TASK = "data_to_text"
# Without the rules before, whose results the test itself writes.
ALONE = ("--cores", "1", "--allowed-rules", "human_kit", "human_table")


def config(seed=0):
    return ["--config", f"task_overrides={{{TASK}: {{human: {{systems: [seqkd, js, tvd], seed: {seed}}}}}}}", "--"]


@pytest.fixture
def study(tmp_path):
    """A folder with the outputs of three systems."""
    test, generations = cases.write_outputs(tmp_path / "outputs", task=TASK)
    (tmp_path / f"results/{TASK}/prepare").mkdir(parents=True)
    shutil.copy(test, tmp_path / f"results/{TASK}/prepare/test.parquet")
    for system, file in generations.items():
        (tmp_path / f"results/{TASK}/{system}/seed1").mkdir(parents=True)
        shutil.copy(file, tmp_path / f"results/{TASK}/{system}/seed1/generate.parquet")
    return tmp_path


def test_the_kit_needs_the_outputs_of_the_papers_systems(tmp_path):
    jobs = planned(snakemake("-n", KIT, directory=tmp_path).stdout)
    generated = {wildcards for rule, wildcards in jobs if rule == "generate"}
    assert generated == {f"task={TASK}, system={system}, seed=1" for system in ("seqkd", "engine", "js", "tvd")}
    assert ("human_kit", f"task={TASK}") in jobs
    assert not [rule for rule, _ in planned(snakemake("-n", "all", directory=tmp_path).stdout) if "human" in rule]


def test_a_table_without_ratings_says_what_to_do(tmp_path):
    done = snakemake("-n", TABLE, directory=tmp_path, check=False)
    assert done.returncode == 1
    assert f"results/{TASK}/human/ratings: no annotator's file; make {KIT}, send it to the annotators" in done.stdout
    (tmp_path / f"results/{TASK}/human/ratings").mkdir(parents=True)
    (tmp_path / f"results/{TASK}/human/ratings/{{a}}.csv").touch()
    done = snakemake("-n", TABLE, directory=tmp_path, check=False)
    assert "ratings/{a}.csv: rename it without { and }" in done.stdout


def test_from_the_kit_to_the_table(study):
    folder = study / f"results/{TASK}/human"
    snakemake(*ALONE, *config(), KIT, directory=study)
    key = read_json(folder / "key.json")
    assert len(key["items"]) > 8 and key["systems"] == list(cases.SYSTEMS)
    cases.write_export(folder / "ratings/Ana Ünal (1) 'x'.json", cases.export(key))
    cases.write_csv(folder / "ratings/b.csv", cases.filled_csv(folder, key, 1))
    snakemake(*ALONE, *config(), TABLE, directory=study)
    assert "SeqKD" in (study / TABLE).read_text() and len(list((study / "results/human").glob("*.*"))) == 6
    results = read_json(study / f"results/human/{TASK}.json")
    assert set(results["annotators"]) == {"Ana", "b"}
    assert planned(snakemake("-n", *ALONE, *config(), TABLE, directory=study).stdout) == {}

    # Another file in an annotator's place, which is older.
    other = cases.write_csv(folder / "ratings/b.csv", cases.filled_csv(folder, key, 2))
    os.utime(other, (1e9, 1e9))
    assert set(planned(snakemake("-n", *ALONE, *config(), TABLE, directory=study).stdout)) == {
        ("human_table", f"task={TASK}")
    }

    # Other settings make another kit, whose key would replace the one that the ratings need.
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = snakemake(*ALONE, *config(seed=1), TABLE, directory=study, check=False)
    assert done.returncode == 1 and f"key.json: is the key of {key['kit']}, of which results/" in done.stdout
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
