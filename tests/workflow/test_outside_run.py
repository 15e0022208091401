"""A teacher from outside, from its files to a student and its risks: the scripts, one after the other, and the DAG."""

import json
import re

import pytest
import torch
import yaml
from chain import MODEL, TEXT, TRAINING, Study, run
from fdistill.artifacts.files import read_json, read_parquet, sha256
from fdistill.data.schemas import GENERATIONS, SAMPLES, SPLIT
from fdistill.models import checkpoints
from fdistill.models.tokenization import encode_targets
from snake import ROOT, planned, snakemake

RUN = ["--seed", 1, "--device", "cpu"]
LENGTHS = [*TEXT[:2], "--max-target-tokens", "24", "--too-long", "truncate"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study up to the student of a teacher from outside, which starts with random weights."""
    made = Study(tmp_path_factory.mktemp("outside"))
    made.prepare()
    splits = [part for name in ("train", "dev", "test") for part in (f"--{name}", getattr(made, name))]
    shape = ["--family", "bart", "--init", "scratch", "--vocab-size", 300, "--model-config", json.dumps(MODEL)]
    run("start_student", *shape, *splits, "--model", made.start, "--task", made.task, *RUN, *LENGTHS)
    return made


def rows_of(study, split, with_log_probs):
    """Two outputs per input, the references; of the first, every token is known to have probability ½."""
    tokenizer = checkpoints.load(study.start).tokenizer
    columns, _ = read_parquet(getattr(study, split), SPLIT)
    for id_, source, references in zip(columns["id"], columns["source"], columns["references"], strict=True):
        row = {"id": id_, "text": references[0]}
        if with_log_probs:
            tokens = tokenizer.convert_ids_to_tokens(encode_targets(tokenizer, references[:1])[0][:-1])
            row |= {"tokens": tokens, "log_probs": [-0.6931471805599453] * len(tokens)}
        yield row
        yield {"source": source, "text": [references[0]], "finished": False}


def write(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="module")
def imported(study):
    """The imported outputs: samples and cache of the training split, samples and teacher's row of the test split."""
    folder = study.folder / "results" / study.task / "import_outputs"
    own = ["--student", study.start, "--task", study.task, *LENGTHS]
    train = write(study.folder / "train.jsonl", rows_of(study, "train", with_log_probs=True))
    test = write(study.folder / "test.jsonl", rows_of(study, "test", with_log_probs=False))
    samples, cache, of_test = folder / "train.parquet", folder / "train.log_probs", folder / "test.parquet"
    run("import_outputs", "--split", study.train, "--outputs", train, "--samples", samples, "--cache", cache, *own)
    written = ["--samples", of_test, "--generations", study.teacher_generations, "--risk", study.teacher_risk]
    run("import_outputs", "--split", study.test, "--outputs", test, *written, *own)
    return samples, cache, of_test


def test_outputs_are_stored_as_the_teachers_sequences(study, imported):
    samples, cache, of_test = imported
    stored, identity = read_parquet(samples, SAMPLES)
    split, _ = read_parquet(study.train, SPLIT)
    eos = checkpoints.load(study.start).tokenizer.eos_token_id
    assert stored["sample"][:2] == [0, 1] and stored["id"][::2] == split["id"]
    assert stored["tokens"][0] == [*stored["tokens"][1], eos] and stored["finished"][:2] == [True, False]
    assert stored["log_prob"][0] == pytest.approx((len(stored["tokens"][0]) - 1) * -0.6931471805599453)
    assert stored["log_prob"][1] is None
    file = study.folder / "train.jsonl"
    assert identity["contributions"] == [{"what": "outputs", "name": "train.jsonl", "sha256": sha256(file)}]
    assert read_json(cache / "manifest.json")["top_k"] == 1
    generated, _ = read_parquet(study.teacher_generations, GENERATIONS)
    test, _ = read_parquet(study.test, SPLIT)
    assert generated["hypothesis"] == [references[0] for references in test["references"]]
    risk = read_json(study.teacher_risk)
    assert risk["teacher_dist"] > 0 and risk["r_llh_token"] is None and "r_llh_token" in risk["missing"]
    assert "entropy" in risk["missing"]["r_cvg_token"]["reason"]
    assert read_parquet(of_test, SAMPLES)[0]["id"][::2] == test["id"]


def distil(study, name, terms, *stored, fails=False):
    folder = study.folder / "results" / study.task / name / "seed1"
    return run(
        *("distill", "--terms", json.dumps(terms), "--start", study.start, "--task", study.task, "--method", name),
        *("--train", study.train, "--dev", study.dev, "--model", folder / "model"),
        *("--history", folder / "train.jsonl", *stored, *RUN, *LENGTHS, *TRAINING),
        fails=fails,
    )


@pytest.mark.parametrize("kind", ["teacher_samples", "teacher_beam"])
def test_a_student_learns_from_texts_and_from_distributions(study, imported, kind):
    samples, cache, _ = imported
    flag = f"--{kind.replace('_', '-')}"
    distil(study, "seqkd", [{"sequences": kind, "loss": "nll"}], flag, samples)
    distil(study, "kl", [{"sequences": kind, "loss": "kl"}], flag, samples, "--teacher-cache", cache)
    start, of_texts, of_both = (
        checkpoints.load(path).model.module.state_dict()
        for path in (
            study.start,
            *(study.folder / f"results/{study.task}/{name}/seed1/model" for name in ("seqkd", "kl")),
        )
    )
    weight = "model.decoder.layers.0.fc1.weight"
    assert not torch.equal(start[weight], of_texts[weight]) and not torch.equal(of_texts[weight], of_both[weight])
    manifest = read_json(study.folder / f"results/{study.task}/kl/seed1/model/manifest.json")
    assert manifest["contributions"][0]["what"] == "outputs" and "teacher" not in manifest["inputs"]


def test_a_method_that_needs_more_than_the_outputs_is_refused(study, imported):
    samples, cache, _ = imported
    both = [{"sequences": kind, "loss": "kl"} for kind in ("teacher_samples", "student_samples")]
    error = distil(study, "js", both, "--teacher-samples", samples, "--teacher-cache", cache, fails=True)
    assert "this method compares the student's distributions with a teacher's; give --teacher" in error


@pytest.mark.parametrize("has_samples", [True, False])
def test_risks_are_measured_as_far_as_the_outputs_go(study, imported, has_samples):
    risk = study.folder / "risk.json"
    given = ["--teacher-samples", imported[2]] if has_samples else []
    run(
        *("generate", "--model", study.start, "--test", study.test, "--generations", study.folder / "generate.parquet"),
        *("--risk", risk, *given, "--task", study.task, "--method", "init_student", *RUN, *LENGTHS),
        *("--max-new-tokens", 4),
    )
    found = read_json(risk)
    assert found["r_llh_token"] is None and "files of outputs" in found["missing"]["r_llh_token"]["reason"]
    assert (found["r_cvg_token"] is not None) == has_samples == ("r_cvg_token" not in found["missing"])
    assert has_samples or found["missing"]["teacher_dist"]["fix"] == "give them as model.teacher.outputs.test"
    aggregated = study.folder / "aggregated.json"
    run("metrics", "--risks", risk, "--seeds", 1, "--output", aggregated, "--task", study.task)
    assert read_json(aggregated)["risks"]["r_llh_token"]["missing"]["reason"]


def test_incomplete_outputs_are_refused(study):
    rows = list(rows_of(study, "train", with_log_probs=False))
    file = write(study.folder / "some.jsonl", rows[2:])
    own = ["--student", study.start, "--samples", study.folder / "x.parquet", "--task", study.task, *LENGTHS]
    error = run("import_outputs", "--split", study.train, "--outputs", file, *own, fails=True)
    assert "has no output for 1 of 12 inputs" in error
    whole = write(study.folder / "some.jsonl", rows)
    cache = ["--cache", study.folder / "x"]
    error = run("import_outputs", "--split", study.train, "--outputs", whole, *cache, *own, fails=True)
    assert "no row has log-probabilities" in error
    assert not (study.folder / "x").exists()


# --- the DAG

SNAKEFILE = f"""
configfile: "config/study.yaml"
module fdistill:
    snakefile: "{ROOT / "Snakefile"}"
    config: config
use rule * from fdistill
"""
TASK = yaml.safe_load((ROOT / "config/tasks/pronunciation.yaml").read_text())
METHODS = ["mle", "seqkd", "kl"]


def project(folder, outputs, tasks, **study):
    """A project with a task of a teacher from outside."""
    (folder / "config/tasks").mkdir(parents=True)
    config = TASK["model"]["teacher"]["config"]
    starts = {name: {"start": "init_student"} for name in ("seqkd", "kl")}
    outside = TASK | {
        "model": {"family": "bart", "teacher": {"outputs": outputs}, "student": {"init": "scratch", "config": config}},
        "training": {stage: TASK["training"][stage] for stage in ("predistill", "distill")},
        "method_overrides": starts,
    }
    (folder / "config/tasks/outside.yaml").write_text(yaml.safe_dump(outside))
    settings = {"tasks": tasks, "methods": METHODS, "seeds": [1]} | study
    (folder / "config/study.yaml").write_text(yaml.safe_dump(settings))
    (folder / "Snakefile").write_text(SNAKEFILE)
    for file in (file for file in outputs.values() if isinstance(file, str)):
        (folder / file).write_text("")
    return folder


def dry_run(folder, *arguments, check=True):
    given = ["-n", "--snakefile", folder / "Snakefile", *arguments]
    return snakemake(*given, "--", "all", directory=folder, check=check).stdout


def test_the_jobs_of_a_study_with_a_task_of_each_kind(tmp_path):
    outputs = {"train": "train.jsonl", "test": "test.jsonl", "log_probs": True}
    jobs = planned(dry_run(project(tmp_path, outputs, ["outside", "pronunciation"], deployment=True)))
    of_outside = {rule for rule, wildcards in jobs if "task=outside" in wildcards}
    assert {"start_student", "import_log_probs", "import_test_outputs", "deployment_model"} <= of_outside
    assert not of_outside & {"finetune_teacher", "init_student", "sample_teacher", "cache_teacher", "predistill"}
    of_other = {rule for rule, wildcards in jobs if "task=pronunciation" in wildcards}
    assert {"finetune_teacher", "init_student", "sample_teacher"} <= of_other and "import_outputs" not in of_other
    assert ("deployment_model", "task=outside, system=teacher") not in jobs
    assert ("score", "task=outside, system=teacher, seed=1") in jobs


def test_a_teacher_without_outputs_for_the_test_split_has_no_row(tmp_path):
    folder = project(tmp_path, {"train": "train.jsonl"}, ["outside"], methods=["mle", "seqkd"])
    jobs = planned(dry_run(folder))
    assert not [wildcards for _, wildcards in jobs if "system=teacher" in wildcards]
    assert ("import_outputs", "task=outside, split=train") in jobs
    assert {rule for rule, _ in jobs} >= {"main_table", "risk_table", "claims", "report_page"}
    (unusable,) = re.findall(r"--unusable (.*?) --texts", dry_run(folder, "-p"))
    assert {"outside=engine", "outside=rkl", "outside=predistill"} <= set(unusable.split())
    assert not {"outside=kl", "outside=mle"} & set(unusable.split())  # KL can learn from log-probabilities


def test_a_method_that_cannot_be_used_is_refused_before_anything_runs(tmp_path):
    output = dry_run(project(tmp_path, {"train": "train.jsonl"}, ["outside"], methods=["mle", "js"]), check=False)
    assert "method 'js' needs the teacher itself" in output and "methods that work: mle" in output


def test_the_students_checkpoint_is_read_as_its_task_says(tmp_path):
    folder = project(tmp_path, {"train": "train.jsonl"}, ["outside"], methods=["mle"])
    task = yaml.safe_load((folder / "config/tasks/outside.yaml").read_text())
    languages = {"source_language": "en_XX", "target_language": "ro_RO"}
    task["model"] |= {"family": "mbart", "student": {"init": "org/mbart", "allow_pickle": True, **languages}}
    (folder / "config/tasks/outside.yaml").write_text(yaml.safe_dump(task))
    flags = "--init org/mbart --allow-pickle --source-language=en_XX --target-language=ro_RO"
    assert flags in dry_run(folder, "-p", "--until", "start_student")
