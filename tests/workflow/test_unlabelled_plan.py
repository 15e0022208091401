"""What the workflow plans for a task with unlabelled inputs: dry runs."""

from pathlib import Path

import pytest
import yaml
from fdistill.artifacts.files import read_identity, read_json, sha256
from fdistill.data.preparation import FILES
from fdistill.evaluation.model_card import DATA
from snake import planned, snakemake

FILE = "results/en_ro/prepare/unlabelled.parquet"


def plan(folder, method, **changes):
    """The jobs, and the commands, of a dry run of a method of EN-RO."""
    given = {"tasks": ["en_ro"], "methods": ["mle", "kl"], "task_overrides": {"en_ro": changes}}
    (folder / "o.yaml").write_text(yaml.safe_dump(given))
    target = f"results/en_ro/{method}/seed1/model"
    shown = snakemake("-n", "-p", "--configfile", folder / "o.yaml", "--", target, directory=folder).stdout
    commands = {line.split("--model ")[1].split()[0]: line for line in shown.splitlines() if "--model " in line}
    return planned(shown), shown, commands[target]


@pytest.mark.parametrize("cache", ["none", "states"])
def test_the_teacher_samples_unlabelled_inputs_and_kl_learns_from_them(tmp_path, cache):
    changes = {"source": {"unlabelled_share": 0.5}, "training": {"distill": {"max_unlabelled": 100}}}
    jobs, shown, command = plan(tmp_path, "kl", **changes, teacher_cache=cache)
    sampled = [wildcards for rule, wildcards in jobs if rule == "sample_teacher"]
    assert sorted(sampled) == [
        "task=en_ro, sample_set=train.teacher_samples", "task=en_ro, sample_set=unlabelled.teacher_samples"
    ]  # fmt: skip
    assert f"--unlabelled {FILE}" in command and "--max-unlabelled=100" in command
    samples = "results/en_ro/sample_teacher/unlabelled.teacher_samples.parquet"
    assert f"--unlabelled-teacher-samples {samples}" in command
    (sampling,) = [line for line in shown.splitlines() if f"--samples {samples}" in line]
    assert "--max-examples 100" in sampling and f"--split {FILE}" in sampling
    assert '"unlabelled_share": 0.5' in shown
    assert (f"--unlabelled-teacher-cache {'results/en_ro/cache_teacher/unlabelled.teacher_samples'}" in command) == (
        cache == "states"
    )
    assert [rule for rule, _ in jobs].count("cache_teacher") == (2 if cache == "states" else 0)
    (teacher,) = [line for line in shown.splitlines() if "finetune_teacher.py" in line and "exec" in line]
    assert f"--unlabelled {FILE}" in teacher


def test_methods_that_need_labels_have_the_labelled_part(tmp_path):
    jobs, _, command = plan(tmp_path, "mle", source={"unlabelled_share": 0.5})
    assert "--unlabelled" not in command and "sample_teacher" not in {rule for rule, _ in jobs}


def test_what_a_job_does_not_read_is_not_among_its_flags(tmp_path):
    """Or a change of it would re-run the job."""
    changes = {"source": {"unlabelled_share": 0.5}, "training": {"distill": {"max_unlabelled": 100}}}
    _, shown, command = plan(tmp_path, "kl", **changes)
    assert "--selection-agreement-top-k=5" in command and "--max-unlabelled=100" in command
    (teacher,) = [line for line in shown.splitlines() if "finetune_teacher.py" in line and "exec" in line]
    (predistilled,) = [line for line in shown.splitlines() if "--method predistill" in line]
    assert "max-unlabelled" not in teacher + predistilled
    assert "agreement-top-k" not in teacher and "--selection-agreement-top-k=5" in predistilled
    for method in ("pt_labelled", "sft"):
        assert "max-unlabelled" not in plan(tmp_path, method, **changes)[2]


def test_pseudo_targets_without_unlabelled_inputs(tmp_path):
    jobs, _, command = plan(tmp_path, "pt_one")
    assert "--include-original --per-input 1" in command and "--unlabelled " not in command
    assert ("sample_teacher", "task=en_ro, sample_set=train.teacher_beam") in jobs


def test_files_of_inputs_are_read_by_prepare(tmp_path):
    for split in ("train", "dev", "test", "unlabelled"):
        (tmp_path / f"{split}.csv").write_text("source,target\na,b\n")
    path = {split: f"{split}.csv" for split in ("train", "dev", "test", "unlabelled")}
    changes = {"source": {"kind": "wmt16", "path": path}}
    given = {"tasks": ["wmt16_en_ro"], "methods": ["kl"], "task_overrides": {"wmt16_en_ro": changes}}
    (tmp_path / "o.yaml").write_text(yaml.safe_dump(given))
    target = "results/wmt16_en_ro/prepare/unlabelled.parquet"
    shown = snakemake("-n", "--configfile", tmp_path / "o.yaml", "--", target, directory=tmp_path).stdout
    assert "unlabelled.csv" in shown
    (tmp_path / "unlabelled.csv").unlink()
    done = snakemake("-n", "--configfile", tmp_path / "o.yaml", "--", target, directory=tmp_path, check=False)
    assert done.returncode and "unlabelled.csv" in done.stdout


def test_other_unlabelled_inputs_rerun_what_reads_them_and_nothing_else(tmp_path):
    path = {split: str(tmp_path / f"{split}.csv") for split in ("train", "dev", "test", "unlabelled")}
    for split, file in path.items():
        Path(file).write_text(f"source,target\nin {split},out {split}\n")
    change = {"xsum": {"source": {"kind": "files", "path": path, "expected_counts": None}}}
    given = {"tasks": ["xsum"], "methods": ["mle", "kl"], "seeds": [1], "task_overrides": change}
    (tmp_path / "o.yaml").write_text(yaml.safe_dump(given))
    results = tmp_path / "results/xsum"
    targets = [f"results/xsum/{method}/seed1/model" for method in ("mle", "kl")]
    study = ("--configfile", tmp_path / "o.yaml", "--")
    prepared = [f"results/xsum/prepare/{name}" for name in ("train.parquet", "unlabelled.parquet")]
    snakemake("--cores", "1", *study, *prepared, directory=tmp_path)
    for name in ("teacher/seed1", "init_student", "predistill/seed1", "mle/seed1", "kl/seed1"):
        (results / name / "model").mkdir(parents=True)
        (results / name / "train.jsonl").touch()
    (results / "sample_teacher").mkdir()
    for split in ("train", "unlabelled"):
        (results / f"sample_teacher/{split}.teacher_samples.parquet").touch()
    snakemake("--cores", "1", "--touch", *study, *targets, directory=tmp_path)
    assert planned(snakemake("-n", *study, *targets, directory=tmp_path).stdout) == {}

    Path(path["unlabelled"]).write_text("source\nin unlabelled\nanother\n")
    jobs = planned(snakemake("-n", *study, *targets, directory=tmp_path).stdout)
    assert set(jobs) == {
        ("prepare_unlabelled", "task=xsum"),
        ("sample_teacher", "task=xsum, sample_set=unlabelled.teacher_samples"),
        ("distill", "task=xsum, method=kl, seed=1"),
    }
    before = (results / "prepare/train.parquet").stat().st_mtime_ns
    snakemake("--cores", "1", *study, *prepared, directory=tmp_path)
    assert (results / "prepare/train.parquet").stat().st_mtime_ns == before
    manifest = read_json(results / "prepare/manifest.json", DATA)  # what an export reads of it
    assert manifest["splits"] == {"train": 1, "dev": 1, "test": 1, "unlabelled": 2}
    assert manifest["sha256"] == {split: sha256(results / f"prepare/{split}.parquet") for split in FILES}
    identities = [read_identity(results / f"prepare/{split}.parquet") for split in ("train", "unlabelled")]
    assert identities[0]["lineage"] == identities[1]["lineage"] == manifest["lineage"]

    Path(path["dev"]).write_text("source,target\nanother,one\n")
    jobs = planned(snakemake("-n", *study, *targets, directory=tmp_path).stdout)
    assert ("prepare_labelled", "task=xsum") in jobs and ("finetune_teacher", "task=xsum, seed=1") in jobs
