"""Lineage: a result of another task, method, split or kind is refused wherever it is read, also beside its record."""

import re
import shutil
from pathlib import Path

import pytest
from chain import METHOD, Study, run
from fdistill.artifacts.files import read_identity, read_json, write_json
from fdistill.artifacts.lineage import lineage_of

OTHER = "js"
STAGES = [stage for stage in Study(Path()).stages(lambda path: path) if stage != "finetune_teacher"]
# Stages that read only what all methods share, or the teacher's.
SHARED = {
    "sample_teacher",
    "sample_teacher test",
    "init_student",
    "distill",
    "trivial",
    "generate teacher",
    "metrics teacher",
    "claims",
    "tables datasets",
    "human table",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study(tmp_path_factory.mktemp("study")).make()


@pytest.fixture(scope="module")
def other(study, tmp_path_factory):
    """The same study with another method: its data, teacher and seed are the same."""
    folder = tmp_path_factory.mktemp("other") / "study"
    shutil.copytree(study.folder, folder)
    other = Study(folder, method=OTHER)
    stages = [stage for stage in STAGES if stage not in SHARED or stage == "distill"]
    for stage in stages:
        run(*other.command(stage))
    return other


def by_flag(study, stage):
    return [(flag.partition("=")[0], path) for flag, path in study.stages(lambda path: path)[stage][0].items()]


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in SHARED])
def test_a_result_of_another_method_is_refused_together_with_its_record(study, other, stage, tmp_path):
    """The whole folder is replaced, so that every hash that a record lists is right."""
    refused = 0
    for (_, path), (_, foreign) in zip(by_flag(study, stage), by_flag(other, stage), strict=True):
        if OTHER not in foreign.parts:
            continue
        folder = path.parent
        folder.rename(tmp_path / "kept")
        try:
            shutil.copytree(foreign.parent, folder)
            message = run(*study.command(stage, lambda path: tmp_path / path.name), fails=True)
        finally:
            shutil.rmtree(folder)
            (tmp_path / "kept").rename(folder)
        replaced = "|".join(re.escape(str(file)) for _, file in by_flag(study, stage) if file.parent == folder)
        assert re.search(rf"({replaced}).*\b{OTHER}\b.*\b{METHOD}\b", message), message
        assert not list(tmp_path.iterdir())
        refused += 1
    assert refused


def test_every_stage_says_its_task_and_its_method(study):
    shared = (study.train, study.dev, study.test, study.manifest, study.samples, study.test_samples)
    for path in shared:
        assert lineage_of(path)["task"] == study.task and "method" not in lineage_of(path)
    made_by = {study.teacher: "teacher", study.teacher_history: "teacher", study.start: "init_student"}
    own = (study.student, study.history, study.generations, study.score, study.risk, study.metrics, study.risks)
    for path, method in {**made_by, **dict.fromkeys(own, METHOD)}.items():
        assert (lineage_of(path)["task"], lineage_of(path)["method"]) == (study.task, method), path


def replaced(command, flag, *values):
    """The command with other values for a flag."""
    place = command.index(flag)
    return [*command[: place + 1], *values, *command[place + 2 :]]


@pytest.mark.parametrize("stage", ["sample_teacher", "init_student", "distill", "generate", "score", "metrics"])
def test_another_task_is_refused(study, stage, tmp_path):
    command = replaced(study.command(stage, lambda path: tmp_path / path.name), "--task", "numbers")
    message = run(*command, fails=True)
    assert re.search("(another task than this run|task) .*colours.*numbers", message), message


@pytest.mark.parametrize(
    ("stage", "flag", "given", "words"),
    [
        ("finetune_teacher", "--train", "dev", "is the split 'dev', expected 'train'"),
        ("finetune_teacher", "--test", "dev", "is the split 'dev', expected 'test'"),
        ("distill", "--dev", "train", "is the split 'train', expected 'dev'"),
        ("trivial", "--test", "train", "is the split 'train', expected 'test'"),
        ("score", "--test", "dev", "is the split 'dev', expected 'test'"),
        ("distill", "--start", "student", f"is the model of '{METHOD}', expected that of 'init_student'"),
        ("init_student", "--teacher", "student", f"is the model of '{METHOD}', expected that of 'teacher'"),
    ],
)
def test_files_in_each_others_places_are_refused(study, stage, flag, given, words, tmp_path):
    command = replaced(study.command(stage, lambda path: tmp_path / path.name), flag, getattr(study, given))
    assert f"{getattr(study, given)}: {words}" in run(*command, fails=True)


def test_beam_outputs_are_no_samples(study, tmp_path):
    """Both are sequences of the same teacher for the same split."""
    samples = tmp_path / "beam.parquet"
    run(*replaced(replaced(study.command("sample_teacher"), "--samples", samples), "--kind", "teacher_beam"))
    message = run(*replaced(study.command("distill"), "--teacher-samples", samples), fails=True)
    assert f"{samples}: contains teacher_beam, expected teacher_samples" in message


@pytest.mark.parametrize("stage", ["generate", "score", "metrics"])
def test_by_hand_nothing_need_be_said(study, stage, tmp_path):
    """What the inputs say goes into the output."""
    written = tmp_path / f"out{'.parquet' if stage == 'generate' else '.json'}"
    command = study.command(stage, lambda path: path if path == study.risk else written)
    said = {"generate": ("--teacher", "--teacher-samples", "--risk"), "metrics": (), "score": ()}[stage]
    said += ("--task", "--method") if stage != "score" else ()  # it must know where the score belongs
    for flag in said:
        place = command.index(flag)
        del command[place : place + 2]
    run(*command)
    assert lineage_of(written)["task"] == study.task and lineage_of(written)["method"] == METHOD


def test_another_systems_file_is_refused_by_tables_and_figures_in_its_place(study, tmp_path):
    write_json(tmp_path / "metrics.json", read_json(study.metrics) | {"lineage": {"task": study.task, "method": "mle"}})
    given = [f"--tasks={study.task}=Task", "--students", "mle=MLE", "kl=KL", "--output", tmp_path / "table.md"]
    given += [f"--comparisons={study.task}={study.comparisons}"]
    place = f"{study.task}/kl={tmp_path / 'metrics.json'}"
    message = run("tables", "main", "--metrics", place, *given, fails=True)
    assert "metrics.json: belongs to another method than this run (mle, not kl)" in message


@pytest.mark.parametrize(
    ("stage", "flag", "output"),
    [("distill", "--model", "start"), ("distill", "--history", "train"), ("generate", "--generations", "test")],
)
def test_an_output_does_not_replace_an_input(study, stage, flag, output):
    before = read_identity(study.train), lineage_of(study.start)
    message = run(*replaced(study.command(stage), flag, getattr(study, output)), fails=True)
    assert f"{getattr(study, output)}: {flag} and --" in message and "are the same" in message
    assert before == (read_identity(study.train), lineage_of(study.start))


def test_an_output_does_not_contain_an_input(study):
    message = run(*replaced(study.command("init_student"), "--model", study.teacher.parents[1]), fails=True)
    assert "--model and --teacher lie one inside the other" in message
    assert study.teacher.is_dir()


@pytest.mark.parametrize("flag", ["--teacher-samples", "--risk"])
def test_what_risks_need_is_given_together(study, flag):
    command = study.command("generate")
    del command[command.index(flag) : command.index(flag) + 2]
    assert "--teacher needs --teacher-samples and --risk; give all or none" in run(*command, fails=True)
