"""The whole workflow on real text, small: what it writes, that it repeats, and what re-runs when something changes."""

import csv
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from snake import ROOT, SMOKE, planned, snakemake

pytestmark = pytest.mark.e2e

TASKS = {"data_to_text": "bleu4", "en_ro": "ter", "dialogue": "bleu2"}
METHODS = ["mle", "predistill", "seqkd", "js_exact"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder in which the smallest study has run."""
    directory = tmp_path_factory.mktemp("study")
    snakemake("--cores", "2", "--configfile", SMOKE, "--", "all", directory=directory)
    return directory


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".provenance.json")  # times, which differ
    }


def would_run(study, tmp_path, changes):
    """The rules and wildcards that a changed config would run again."""
    config = tmp_path / "changed.yaml"
    config.write_text(yaml.safe_dump(merged(yaml.safe_load(SMOKE.read_text()), changes)))
    return planned(snakemake("-n", "--configfile", config, "--", "all", directory=study).stdout)


def merged(old, new):
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merged(old.get(key), value) for key, value in new.items()}
    return new


@pytest.mark.parametrize("task", TASKS)
def test_metrics_are_means_over_seeds_with_signatures(study, task):
    for system in ["teacher", "most_frequent", "copy", *METHODS]:
        found = json.loads((study / f"results/{task}/{system}/metrics.json").read_text())
        entry = found["metrics"][TASKS[task]]
        seeds = [1, 2] if system in METHODS else [1]
        assert list(entry["seeds"]) == [str(seed) for seed in seeds]
        assert entry["mean"] == pytest.approx(sum(entry["seeds"].values()) / len(seeds))
        assert entry["signature"] and found["versions"]
    assert json.loads((study / f"results/{task}/js_exact/risk.json").read_text())


def test_tables_have_a_row_per_system_and_name_what_is_missing(study):
    rows = list(csv.DictReader((study / "results/tables/main.csv").open()))
    assert {row["system"] for row in rows} == {"teacher", "most_frequent", "copy", *METHODS}
    markdown = (study / "results/tables/main.md").read_text()
    assert "n/a" in markdown and re.search("BLEURT.* none is set", markdown)
    for table in ("main", "risk", "datasets", "examples"):
        for suffix in ("csv", "md", "tex"):
            assert (study / f"results/tables/{table}.{suffix}").stat().st_size > 100


def test_nothing_is_left_to_do(study):
    done = snakemake("-n", "--configfile", SMOKE, "--", "all", directory=study)
    assert "Nothing to be done" in done.stdout


def test_decoding_again_trains_nothing(study, tmp_path):
    jobs = would_run(study, tmp_path, {"task_overrides": {"en_ro": {"decoding": {"num_beams": 2}}}})
    assert {rule for rule, _ in jobs} >= {"generate", "score", "metrics", "main_table"}
    assert not {rule for rule, _ in jobs} & {
        "prepare",
        "finetune_teacher",
        "predistill",
        "distill",
        "sample_teacher",
        "risk",
    }
    assert all("task=en_ro" in wildcards for rule, wildcards in jobs if rule == "generate")


def test_a_stages_change_reruns_what_depends_on_it_and_nothing_else(study, tmp_path):
    change = {"task_overrides": {"dialogue": {"training": {"distill": {"learning_rate": 0.123}}}}}
    jobs = would_run(study, tmp_path, change)
    trained = {wildcards for rule, wildcards in jobs if rule in ("distill", "predistill", "finetune_teacher")}
    assert trained == {
        f"task=dialogue, method={method}, seed={seed}" for method in ("seqkd", "js_exact") for seed in (1, 2)
    }
    assert not any("task=en_ro" in wildcards or "task=data_to_text" in wildcards for _, wildcards in jobs)


def test_a_methods_change_reruns_that_method_alone(study, tmp_path):
    terms = [{"sequences": "teacher_samples", "loss": "kl_p_mixture", "parameters": {"exact": True, "beta": 0.25}}]
    change = {"task_overrides": {"en_ro": {"method_overrides": {"js_exact": {"terms": terms}}}}}
    jobs = would_run(study, tmp_path, change)
    trained = {wildcards for rule, wildcards in jobs if rule in ("distill", "predistill", "finetune_teacher")}
    assert trained == {f"task=en_ro, method=js_exact, seed={seed}" for seed in (1, 2)}
    assert not {rule for rule, _ in jobs} & {"prepare", "init_student", "sample_teacher"}


def test_how_the_student_samples_reruns_its_method(study, tmp_path):
    changes = {"js_exact": {"student_samples": {"mode": "top_k", "top_k": 5}}}
    jobs = would_run(study, tmp_path, {"task_overrides": {"en_ro": {"method_overrides": changes}}})
    trained = {wildcards for rule, wildcards in jobs if rule in ("distill", "predistill", "finetune_teacher")}
    assert trained == {f"task=en_ro, method=js_exact, seed={seed}" for seed in (1, 2)}


def test_what_guards_a_run_reruns_nothing(study, tmp_path):
    guarded = {
        stage: {"checkpoint_minutes": 1, "max_skipped_steps": 9} for stage in ("teacher", "predistill", "distill")
    }
    assert not would_run(study, tmp_path, {"task_overrides": {"en_ro": {"training": guarded}}})


def test_editing_a_script_reruns_its_rule(study, tmp_path):
    script = ROOT / "workflow/scripts/trivial.py"
    before = script.read_text()
    try:
        script.write_text(before + "# edited\n")
        jobs = planned(snakemake("-n", "--configfile", SMOKE, "--", "all", directory=study).stdout)
    finally:
        script.write_text(before)
    assert sum(rule == "trivial" for rule, _ in jobs) == 6
    assert not {rule for rule, _ in jobs} & {"prepare", "finetune_teacher", "distill", "generate"}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(study):
    model = study / "results/en_ro/js_exact/seed1"
    before = digests(model)
    shutil.rmtree(model)
    targets = [f"results/en_ro/js_exact/seed1/{name}.json" for name in ("score", "risk")]
    snakemake("--cores", "2", "--configfile", SMOKE, "--", *targets, directory=study)
    assert digests(model) == before
    other = digests(study / "results/en_ro/js_exact/seed2")
    assert other["model/model.safetensors"] != before["model/model.safetensors"]


def start(study):
    """The study's run in the background, in a process group of its own; returns once one of its jobs does."""
    began = time.time()
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "2",
        "--configfile",
        SMOKE,
        "--directory",
        study,
        "--",
        "all",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    run = subprocess.Popen([*map(str, command)], cwd=ROOT, start_new_session=True, **quiet)
    while not any(log.stat().st_mtime > began for log in (study / "logs").rglob("*.log")):
        assert run.poll() is None and time.time() < began + 300
        time.sleep(0.05)
    return run


def test_a_killed_study_that_is_started_again_gives_the_same_result(study):
    """From a teacher's samples to every table: Snakemake and its jobs are killed at random moments."""
    results, kills, chance = study / "results", 3, random.Random(1)
    before = digests(results)
    for path in (results / "tables", *(results / "data_to_text" / name for name in ("seqkd", "js_exact"))):
        shutil.rmtree(path)
    for path in (results / "data_to_text/sample_teacher").glob("train.*"):
        path.unlink()
    for _ in range(kills):
        run = start(study)
        time.sleep(chance.uniform(0, 15))
        os.killpg(run.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        snakemake("--unlock", "--configfile", SMOKE, directory=study)
    assert len(digests(results)) < len(before)
    snakemake("--cores", "2", "--configfile", SMOKE, "--", "all", directory=study)
    after = digests(results)
    assert before.items() <= after.items()
    assert all("/." in path for path in after.keys() - before.keys())  # the workspace of a killed writer
    print(f"Snakemake: survived {kills} of {kills} kills")


def test_a_second_run_in_a_folder_is_told_what_to_do_and_leaves_the_first_alone(study):
    shutil.rmtree(study / "results/dialogue/mle")
    first = start(study)
    second = snakemake("--cores", "1", "--configfile", SMOKE, "--", "all", directory=study, check=False)
    assert second.returncode != 0
    assert "make sure that no other Snakemake process is trying" in second.stdout and "--unlock" in second.stdout
    assert first.wait() == 0


def test_samples_of_another_teacher_are_refused_before_training(study, tmp_path):
    """By hand, as a user would run it: dialogue's samples for data-to-text's student."""
    results = study / "results/data_to_text"
    command = [
        sys.executable,
        ROOT / "workflow/scripts/distill.py",
        "--start",
        results / "init_student/model",
        "--teacher",
        results / "teacher/seed1/model",
        "--train",
        results / "prepare/train.parquet",
        "--dev",
        results / "prepare/dev.parquet",
        "--terms",
        '[{"sequences": "teacher_samples", "loss": "kl"}]',
        "--teacher-samples",
        study / "results/dialogue/sample_teacher/train.teacher_samples.parquet",
        "--model",
        tmp_path / "model",
        "--history",
        tmp_path / "train.jsonl",
        "--learning-rate",
        "0.001",
        "--epochs",
        "1",
        "--max-source-tokens",
        "64",
        "--max-target-tokens",
        "40",
        "--too-long",
        "truncate",
        "--seed",
        "1",
    ]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "train.teacher_samples.parquet: belongs to another version of the data" in done.stderr
    assert "run the rule that makes it again" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_report_is_made(study):
    snakemake("--report", study / "report.html", "--configfile", SMOKE, "--", "all", directory=study)
    text = (study / "report.html").read_text()
    assert "Training curves" in text and "TeacherDist" in text
