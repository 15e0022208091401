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

import pandas
import pytest
import warm
import yaml
from fdistill.artifacts.manifest import model_identity
from snake import ROOT, SMOKE, planned, snakemake, start_snakemake

pytestmark = pytest.mark.e2e

TASKS = {"data_to_text": "bleu4", "en_ro": "ter", "dialogue": "bleu2"}
METHODS = ["mle", "predistill", "seqkd", "js_exact"]
SIZED = [f"{method}-d2" for method in METHODS]  # the same with a larger student, on dialogue


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, which a test may change."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "Snakefile", folder)
    for name in ("config", "envs", "profiles", "rules", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "fdistill"))
    (folder / "workflow/fdistill").symlink_to(ROOT / "workflow/fdistill")  # which the processes of `warm` have loaded
    return folder


@pytest.fixture(scope="module")
def run(project):
    """Runs Snakemake on the smallest study."""

    def run(folder, *arguments, targets=("all",), config=SMOKE, **settings):
        return snakemake(*arguments, "--configfile", config, "--", *targets, directory=folder, root=project, **settings)

    return run


@pytest.fixture(scope="module")
def study(run, tmp_path_factory):
    """A folder in which the smallest study has run."""
    directory = tmp_path_factory.mktemp("study")
    run(directory, "--cores", "2")
    return directory


def shows_times(path):
    """Whether a file says how long jobs took, which differs: a record, and what the report makes of them."""
    return path.name.endswith((".provenance.json", ".cost.svg")) or path.parent.name == "report"


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not shows_times(path)
    }


@pytest.fixture
def would_run(study, run, tmp_path):
    """The rules and wildcards that a changed config would run again."""

    def would_run(changes):
        config = tmp_path / "changed.yaml"
        config.write_text(yaml.safe_dump(merged(yaml.safe_load(SMOKE.read_text()), changes)))
        return planned(run(study, "-n", config=config).stdout)

    return would_run


def merged(old, new):
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merged(old.get(key), value) for key, value in new.items()}
    return new


@pytest.mark.parametrize("task", TASKS)
def test_metrics_are_means_over_seeds_with_signatures(study, task):
    students = METHODS + SIZED if task == "dialogue" else METHODS
    for system in ["teacher", "most_frequent", "copy", *students]:
        found = json.loads((study / f"results/{task}/{system}/metrics.json").read_text())
        entry = found["metrics"][TASKS[task]]
        seeds = [1, 2] if system in students else [1]
        assert list(entry["seeds"]) == [str(seed) for seed in seeds]
        assert entry["mean"] == pytest.approx(sum(entry["seeds"].values()) / len(seeds))
        assert entry["signature"] and found["versions"]
    assert json.loads((study / f"results/{task}/js_exact/risk.json").read_text())


def test_tables_have_a_row_per_system_and_name_what_is_missing(study):
    rows = list(csv.DictReader((study / "results/tables/main.csv").open()))
    assert {row["system"] for row in rows} == {"teacher", "most_frequent", "copy", *METHODS, *SIZED}
    assert {row["task"] for row in rows if row["system"] in SIZED} == {"dialogue"}
    markdown = (study / "results/tables/main.md").read_text()
    assert "JS (exact mixture), d2" in markdown
    assert "n/a" in markdown and re.search("BLEURT.* none is set", markdown)
    for table in ("main", "risk", "datasets", "examples"):
        for suffix in ("csv", "md", "tex"):
            assert (study / f"results/tables/{table}.{suffix}").stat().st_size > 100
    frame = pandas.read_parquet(study / "results/tables/results.parquet")
    assert set(frame["system"]) == {row["system"] for row in rows} and {"bleu4", "r_llh_token"} <= set(frame["metric"])
    runs = frame[(frame["system"] == METHODS[0]) & (frame["metric"] == "bleu4")]
    assert set(runs["seed"].dropna()) == {1, 2} and (runs.loc[runs["seed"].isna(), "seeds"] == 2).all()


def test_a_larger_student_has_the_layers_of_its_size_and_starts_from_it(study):
    results = study / "results/dialogue"

    def layers(system):
        return json.loads((results / system / "model/config.json").read_text())["n_layer"]

    for method, made in (("init_student", ""), *((method, "/seed2") for method in METHODS)):
        assert [layers(f"{system}{made}") for system in (method, f"{method}-d2")] == [1, 2]
    folders = [results / f"{system}/seed1/model" for system in ("predistill-d2", "js_exact-d2")]
    first, last = (json.loads((folder / "manifest.json").read_text()) for folder in folders)
    assert last["inputs"]["start"] == model_identity(folders[0])
    assert first["lineage"]["teacher"] == last["lineage"]["teacher"] and last["lineage"]["method"] == "js_exact-d2"
    figures = {path.name for path in (study / "results/figures").glob("*.sizes.svg")}
    assert figures == {"dialogue.sizes.svg"}


def test_nothing_is_left_to_do(study, run):
    assert "Nothing to be done" in run(study, "-n").stdout


def test_decoding_again_trains_nothing(would_run):
    jobs = would_run({"task_overrides": {"en_ro": {"decoding": {"num_beams": 2}}}})
    assert {rule for rule, _ in jobs} >= {"generate", "score", "metrics", "main_table"}
    assert not {rule for rule, _ in jobs} & {
        "prepare",
        "finetune_teacher",
        "predistill",
        "distill",
        "sample_teacher",
    }
    assert all("task=en_ro" in wildcards for rule, wildcards in jobs if rule == "generate")


def test_a_stages_change_reruns_what_depends_on_it_and_nothing_else(would_run):
    change = {"task_overrides": {"dialogue": {"training": {"distill": {"learning_rate": 0.123}}}}}
    jobs = would_run(change)
    trained = {wildcards for rule, wildcards in jobs if rule in ("distill", "predistill", "finetune_teacher")}
    assert trained == {
        f"task=dialogue, method={method}{size}, seed={seed}"
        for method in ("seqkd", "js_exact")
        for size in ("", "-d2")
        for seed in (1, 2)
    }
    assert not any("task=en_ro" in wildcards or "task=data_to_text" in wildcards for _, wildcards in jobs)


def test_a_methods_change_reruns_that_method_alone(would_run):
    terms = [{"sequences": "teacher_samples", "loss": "kl_p_mixture", "parameters": {"exact": True, "beta": 0.25}}]
    change = {"task_overrides": {"en_ro": {"method_overrides": {"js_exact": {"terms": terms}}}}}
    jobs = would_run(change)
    trained = {wildcards for rule, wildcards in jobs if rule in ("distill", "predistill", "finetune_teacher")}
    assert trained == {f"task=en_ro, method=js_exact, seed={seed}" for seed in (1, 2)}
    assert not {rule for rule, _ in jobs} & {"prepare", "init_student", "sample_teacher"}


def test_how_the_student_samples_reruns_its_method(would_run):
    changes = {"js_exact": {"student_samples": {"mode": "top_k", "top_k": 5}}}
    jobs = would_run({"task_overrides": {"en_ro": {"method_overrides": changes}}})
    trained = {wildcards for rule, wildcards in jobs if rule in ("distill", "predistill", "finetune_teacher")}
    assert trained == {f"task=en_ro, method=js_exact, seed={seed}" for seed in (1, 2)}


def test_what_guards_a_run_reruns_nothing(would_run):
    guarded = {
        stage: {"checkpoint_minutes": 1, "max_skipped_steps": 9} for stage in ("teacher", "predistill", "distill")
    }
    assert not would_run({"task_overrides": {"en_ro": {"training": guarded}}})


def test_editing_a_script_reruns_its_rule(study, project, run):
    script = project / "workflow/scripts/trivial.py"
    before = script.read_text()
    script.write_text(before + "# edited\n")
    jobs = planned(run(study, "-n").stdout)
    script.write_text(before)
    assert sum(rule == "trivial" for rule, _ in jobs) == 6
    assert not {rule for rule, _ in jobs} & {"prepare", "finetune_teacher", "distill", "generate"}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(study, run):
    """In processes that share nothing with those of before, not even the seed of Python's hashes."""
    model = study / "results/en_ro/js_exact/seed1"
    before = digests(model)
    shutil.rmtree(model)
    targets = [f"results/en_ro/js_exact/seed1/{name}.json" for name in ("score", "risk")]
    run(study, "--cores", "2", targets=targets, cold=True)
    assert digests(model) == before
    other = digests(study / "results/en_ro/js_exact/seed2")
    assert other["model/model.safetensors"] != before["model/model.safetensors"]


def wait_for_jobs(study, began, jobs, is_running):
    """Wait until so many jobs of a run have started."""

    def is_new(log):
        try:
            return log.stat().st_mtime > began
        except FileNotFoundError:  # Snakemake removes a job's old log before the job starts
            return False

    while sum(map(is_new, (study / "logs").rglob("*.log"))) < jobs:
        assert is_running()
        time.sleep(0.02)


KILLS = 3


def test_a_killed_study_that_is_started_again_gives_the_same_result(study, project, run):
    """From a teacher's samples to every table: Snakemake and its jobs are killed at random moments.

    Moments count from the start of a job, so that neither a slow machine nor a fast one misses the run.
    """
    results, chance = study / "results", random.Random(1)
    before = digests(results)
    for path in (results / "tables", *(results / "data_to_text" / name for name in ("seqkd", "js_exact"))):
        shutil.rmtree(path)
    for path in (results / "data_to_text/sample_teacher").glob("train.*"):
        path.unlink()
    arguments = ["--cores", 2, "--configfile", SMOKE, "--directory", study, "--", "all"]
    command = [str(part) for part in (sys.executable, "-m", "snakemake", *arguments)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for _ in range(KILLS):
        began = time.time()
        killed = subprocess.Popen(command, cwd=project, start_new_session=True, **quiet)
        wait_for_jobs(study, began, chance.randint(1, 3), lambda: killed.poll() is None)  # noqa: B023
        time.sleep(chance.uniform(0, 3))  # of the 4 that a job takes to import torch; a dozen jobs are left
        os.killpg(killed.pid, signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL
        run(study, "--unlock")
    assert len(digests(results)) < len(before)
    run(study, "--cores", "2")
    after = digests(results)
    assert before.items() <= after.items()
    assert all("/." in path for path in after.keys() - before.keys())  # the workspace of a killed writer
    print(f"Snakemake: survived {KILLS} of {KILLS} kills")


def test_a_second_run_in_a_folder_is_told_what_to_do_and_leaves_the_first_alone(study, project, run, tmp_path):
    shutil.rmtree(study / "results/dialogue/mle")
    began = time.time()
    first = start_snakemake("--cores", "2", "--configfile", SMOKE, directory=study, root=project, log=tmp_path / "log")
    wait_for_jobs(study, began, 1, first.is_alive)
    os.kill(first.pid, signal.SIGSTOP)  # it waits for the second
    second = run(study, "--cores", "1", check=False)
    os.kill(first.pid, signal.SIGCONT)
    assert second.returncode != 0
    assert "make sure that no other Snakemake process is trying" in second.stdout and "--unlock" in second.stdout
    first.join()
    assert first.exitcode == 0, (tmp_path / "log").read_text()


def test_samples_of_another_teacher_are_refused_before_training(study, tmp_path):
    """By hand, as a user would run it: dialogue's samples for data-to-text's student."""
    results = study / "results/data_to_text"
    arguments = [
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
    done = warm.run_script("distill", *arguments)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert "train.teacher_samples.parquet: belongs to another version of the data" in done.stdout
    assert "delete the older one and run again" in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_report_page_has_the_commands_of_this_study(study):
    page = (study / "results/report/index.html").read_text()
    given = f"--configfile {os.path.relpath(SMOKE, study)}"
    assert f"snakemake --cores 1 {given} -- results/dialogue/mle/metrics.json</code>" in page
    assert "2 training runs each" in page


def test_the_report_is_made(study, run):
    run(study, "--report", study / "report.html")
    text = (study / "report.html").read_text()
    assert "Training curves" in text and "TeacherDist" in text
