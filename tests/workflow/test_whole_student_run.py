"""Students that copy no layers of a teacher that is a model: their scripts, one after the other, and the DAG."""

import json

import pytest
import torch
import yaml
from chain import MODEL, TEXT, TRAINING, Study, run
from fdistill.artifacts.files import read_json
from fdistill.models import checkpoints
from fdistill.models.families import FAMILIES
from fdistill.models.tokenization import token_count, train_tokenizer
from snake import ROOT, planned, snakemake

RUN = ["--seed", 1, "--device", "cpu"]
NARROW = MODEL | {"d_model": 4, "decoder_layers": 1}
NLL = [{"sequences": "teacher_beam", "loss": "nll"}]
SNAKEFILE = f"""
configfile: "config/study.yaml"
module fdistill:
    snakefile: "{ROOT / "Snakefile"}"
    config: config
use rule * from fdistill
"""
KL = [{"sequences": kind, "loss": "kl"} for kind in ("teacher_beam", "student_samples")]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study with a teacher, its samples of the test split and its beam search outputs of the training split."""
    made = Study(tmp_path_factory.mktemp("whole"))
    made.prepare()
    for stage in ("finetune_teacher", "sample_teacher test"):
        run(*made.command(stage))
    made.beam = made.samples.with_name("train.teacher_beam.parquet")
    given = ["--split", made.train, "--teacher", made.teacher, "--samples", made.beam, "--kind", "teacher_beam"]
    run("sample_teacher", *given, "--mode", "beam", "--num-beams", 2, "--task", made.task, *RUN, *TEXT)
    return made


def start(study, name, init, *more, fails=False):
    """The folder of an untrained student, or the message of a refusal."""
    folder = study.folder / name / "init_student/model"
    splits = [part for split in ("train", "dev", "test") for part in (f"--{split}", getattr(study, split))]
    own = ["--family", "bart", "--init", init, *splits, "--model", folder, "--task", study.task, *RUN, *TEXT]
    return run("start_student", *own, *more, fails=fails) or folder


def distil(study, begin, name, terms, fails=False):
    folder = study.folder / name / "seed1"
    message = run(
        *("distill", "--terms", json.dumps(terms), "--start", begin, "--start-method", "init_student"),
        *("--task", study.task, "--method", name, "--train", study.train, "--dev", study.dev),
        *("--teacher", study.teacher, "--teacher-beam", study.beam, "--model", folder / "model"),
        *("--history", folder / "train.jsonl", *RUN, *TEXT, *TRAINING),
        fails=fails,
    )
    return message or folder / "model"


def risks_of(study, model, name):
    risk = study.folder / f"{name}.json"
    run(
        *("generate", "--model", model, "--test", study.test, "--teacher", study.teacher, "--risk", risk),
        *("--teacher-samples", study.test_samples, "--generations", study.folder / f"{name}.parquet"),
        *("--task", study.task, "--method", name, *RUN, *TEXT, "--max-new-tokens", 4),
    )
    return read_json(risk)


def save_wide(study, folder):
    """A checkpoint as from elsewhere: narrower than the teacher, of its vocabulary, with rows that are no tokens."""
    tokenizer = checkpoints.load(study.teacher).tokenizer
    made = checkpoints.from_scratch(FAMILIES["bart"], NARROW, tokenizer, 7)
    made.model.module.resize_token_embeddings(token_count(tokenizer) + 5, mean_resizing=False)
    checkpoints.save(made, folder)
    return folder


def save_other(folder):
    """A checkpoint as from elsewhere, with a vocabulary of its own."""
    tokenizer = train_tokenizer(["red green blue", "tests of colours"], 280, FAMILIES["bart"])
    checkpoints.save(checkpoints.from_scratch(FAMILIES["bart"], NARROW, tokenizer, 1), folder)
    return folder


@pytest.mark.parametrize("is_checkpoint", [True, False])
def test_a_student_with_the_teachers_tokenizer_learns_from_its_distributions(study, is_checkpoint, tmp_path):
    of_teacher = ["--teacher", study.teacher]
    if is_checkpoint:
        name, begin = "kl_wide", start(study, "wide", save_wide(study, tmp_path / "wide"), *of_teacher)
    else:
        name, begin = "kl", start(study, "new", "scratch", "--model-config", json.dumps(NARROW), *of_teacher)
    before, teacher = checkpoints.load(begin), checkpoints.load(study.teacher)
    assert before.tokenizer.get_vocab() == teacher.tokenizer.get_vocab()
    assert before.model.module.config.vocab_size == token_count(teacher.tokenizer) + 5 * is_checkpoint
    entries = read_json(begin / "manifest.json")["contributions"]
    assert [entry["what"] for entry in entries] == ["weights"] * is_checkpoint
    after = checkpoints.load(distil(study, begin, name, KL))
    weight = "model.decoder.layers.0.fc1.weight"
    assert not torch.equal(*(made.model.module.state_dict()[weight] for made in (before, after)))
    found = risks_of(study, begin, "init_student")
    assert found["r_llh_token"] > 0 and found["r_cvg_token"] > 0 and "missing" not in found


@pytest.fixture(scope="module")
def own(study):
    """An untrained student whose tokenizer has other tokens than the teacher's."""
    return start(study, "own", save_other(study.folder / "other"))


def test_a_student_with_a_tokenizer_of_its_own_learns_from_the_teachers_texts(study, own, capsys):
    after = checkpoints.load(distil(study, own, "seqkd", NLL))
    said = capsys.readouterr().err
    assert "12 sequences decoded and encoded with the student's own tokenizer" in said
    assert "agreement with the teacher is not measured: teacher and student have different vocabularies" in said
    assert token_count(after.tokenizer) != token_count(checkpoints.load(study.teacher).tokenizer)
    found = risks_of(study, own, "init_student")
    assert found["teacher_dist"] is not None and found["r_llh_token"] is None and found["r_cvg_sequence"] is None
    assert "a tokenizer of its own" in found["missing"]["r_cvg_token"]["reason"]


def test_distributions_over_other_tokens_are_refused(study, own, tmp_path):
    error = distil(study, own, "kl_own", KL, fails=True)
    assert "teacher and student have different vocabularies" in error and "own_tokenizer: true" in error
    error = start(study, "other", save_other(tmp_path / "other"), "--teacher", study.teacher, fails=True)
    assert "model.student: teacher and student have different vocabularies" in error


@pytest.mark.parametrize("has_own", [True, False])
def test_the_jobs_of_a_student_by_itself(tmp_path, has_own):
    task = yaml.safe_load((ROOT / "config/tasks/pronunciation.yaml").read_text())
    config = task["model"]["teacher"]["config"]
    task["model"]["student"] = {"init": "scratch", "config": config, "own_tokenizer": has_own}
    starts = {"method_overrides": {name: {"start": "init_student"} for name in ("seqkd", "js")}}
    (tmp_path / "config/tasks").mkdir(parents=True)
    (tmp_path / "config/tasks/whole.yaml").write_text(yaml.safe_dump(task | starts))
    study = {"tasks": ["whole"], "methods": ["mle", "seqkd", *([] if has_own else ["js"])], "seeds": [1]}
    (tmp_path / "config/study.yaml").write_text(yaml.safe_dump(study))
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    shown = snakemake("-n", "-p", "--snakefile", tmp_path / "Snakefile", "--", "all", directory=tmp_path).stdout
    rules = {rule for rule, _ in planned(shown)}
    assert {"start_student", "finetune_teacher", "sample_teacher"} <= rules and "init_student" not in rules
    (line,) = [line for line in shown.splitlines() if "/start_student.py " in line and "exec" in line]
    assert ("--teacher " not in line) == has_own == ("--vocab-size 2000" in line)
    assert ("whole=js" in shown) == has_own
