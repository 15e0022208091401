"""Another teacher's labels, from its checkpoint to a student: the scripts, one after the other, and the DAG."""

import json

import pytest
import tiny
from chain import TEXT, TRAINING, Study, run
from fdistill.artifacts.files import read_json, read_parquet, sha256
from fdistill.data.schemas import LABELS, SAMPLES, SPLIT
from fdistill.models import checkpoints
from fdistill.models.tokenization import decode, encode_targets
from snake import planned, snakemake

RUN = ["--seed", 1, "--device", "cpu"]
TERMS = [{"sequences": kind, "loss": "nll", "weight": 0.5} for kind in ("ground_truth", "other_teacher_beam")]
BEAM = ["--mode", "beam", "--num-beams", "2", "--max-new-tokens", "6"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study up to its untrained student, and beside it a teacher of another family and tokenizer."""
    made = Study(tmp_path_factory.mktemp("labels"))
    made.prepare()
    for stage in ("finetune_teacher", "init_student"):
        run(*made.command(stage))
    checkpoints.save(tiny.checkpoint("t5", letters="colursftain0123456789"), made.folder / "other")
    return made


def files(study, name):
    """The labels and samples of a case, and the arguments of the scripts that make them."""
    labels, samples = (study.folder / name / f"{kind}.parquet" for kind in ("labels", "samples"))
    task = ["--task", study.task, *TEXT]
    encode = ["encode_labels", "--split", study.train, "--labels", labels, "--teacher", study.teacher]
    return (
        labels,
        samples,
        ["--split", study.train, "--labels", labels, *task, *RUN],
        [*encode, "--samples", samples, *task],
    )


def test_the_labels_of_another_architecture_and_tokenizer_reach_the_student_as_text(study):
    labels, samples, make, encode = files(study, "model")
    run("label", "--init", study.folder / "other", *BEAM, *make)
    run(*encode)
    texts, made_by = read_parquet(labels, LABELS)
    stored, identity = read_parquet(samples, SAMPLES)
    tokenizer = checkpoints.load(study.teacher).tokenizer
    assert stored["tokens"] == encode_targets(tokenizer, texts["text"])
    assert decode(tokenizer, stored["tokens"]) == texts["text"] and any(texts["text"])
    assert stored["id"] == read_parquet(study.train, SPLIT)[0]["id"] and stored["log_prob"] == texts["log_prob"]
    assert identity["kind"] == "other_teacher_beam" and identity["options"] == "{'num_beams': 2}"
    assert identity["other_teacher"] == made_by["other_teacher"] and len(made_by["other_teacher"]) == 64
    assert identity["tokenizer"] != identity["other_tokenizer"]
    where = ["--task", study.task, "--method", "orig_pl"]
    model = study.folder / "results" / study.task / "orig_pl/seed1"
    run(
        *("distill", "--terms", json.dumps(TERMS), "--start", study.start, "--teacher", study.teacher, *where),
        *("--other-teacher-beam", samples, "--train", study.train, "--dev", study.dev, "--model", model / "model"),
        *("--history", model / "train.jsonl", *RUN, *TEXT, *TRAINING),
    )
    manifest = read_json(model / "model/manifest.json")
    assert manifest["inputs"]["other_teacher_beam"]
    given = [{"what": "labels", "name": "other", "sha256": made_by["other_teacher"]}]
    assert manifest["contributions"] == identity["contributions"] == given
    run(
        *("distill", "--terms", '[{"sequences": "ground_truth", "loss": "nll"}]', "--start", model / "model"),
        *("--teacher", study.teacher, "--task", study.task, "--method", "sft", "--train", study.train),
        *("--dev", study.dev, "--model", model / "next/model", "--history", model / "next/train.jsonl"),
        *(*RUN, *TEXT, *TRAINING),
    )
    following = read_json(model / "next/model/manifest.json")
    assert following["contributions"] == given  # it comes with the start, as do its layers
    assert following["layers"] == manifest["layers"] == read_json(study.start / "manifest.json")["layers"]
    quality = study.folder / "quality.json"
    run(
        *("label_quality", "--split", study.train, "--samples", samples, "--teacher", study.teacher),
        *("--kind", "other_teacher_beam", "--metrics", "bleu4", "rouge2", "--output", quality, "--task", study.task),
    )
    content = read_json(quality)
    assert content["n_inputs"] == 12 and content["kind"] == "other_teacher_beam"
    assert set(content["metrics"]) == {"bleu4", "rouge2"} and content["metrics"]["rouge2"]["value"] < 50


def test_labels_that_exist_already(study):
    _, samples, make, encode = files(study, "own")
    split, _ = read_parquet(study.train, SPLIT)
    rows = list(zip(split["id"], (references[0] for references in split["references"]), strict=True))
    own = study.folder / "own.jsonl"
    own.write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in rows))
    run("label", "--file", own, *make)
    run(*encode)
    _, identity = read_parquet(samples, SAMPLES)
    assert identity["contributions"] == [{"what": "labels", "name": "own.jsonl", "sha256": sha256(own)}]
    quality = study.folder / "own.json"
    run(
        *("label_quality", "--split", study.train, "--samples", samples, "--teacher", study.teacher),
        *("--kind", "other_teacher_beam", "--metrics", "wer", "--output", quality),
    )
    assert read_json(quality)["metrics"]["wer"]["value"] == 0  # they are the ground truth
    own.write_text(json.dumps({"id": "nobody", "text": "x"}) + "\n")
    error = run("label", "--file", own, *make, fails=True)
    assert "no label for 12 of 12 inputs" in error and "('nobody')" in error


OTHER = "task_overrides={data_to_text: {other_teacher: {labels: own.csv}}}"
STUDY = ["tasks=[data_to_text]", "methods=[sft,pl,orig_pl_pl]"]


def test_the_jobs_of_a_study_with_another_teacher(tmp_path):
    (tmp_path / "own.csv").write_text("id,text\n")
    output = snakemake("-n", "--config", *STUDY, OTHER, "--", "all", directory=tmp_path).stdout
    jobs = {rule for rule, _ in planned(output)}
    assert {"label", "encode_labels", "label_quality", "sample_teacher"} <= jobs and "predistill" not in jobs
    kinds = {wildcards for rule, wildcards in planned(output) if rule == "label_quality"}
    assert len(kinds) == 2


def test_a_method_without_the_other_teacher_is_refused_before_anything_runs(tmp_path):
    failed = snakemake("-n", "--config", *STUDY, "--", "all", directory=tmp_path, check=False)
    assert (
        failed.returncode
        and "'orig_pl_pl' learns from other_teacher_beam, but task 'data_to_text' has no" in failed.stdout
    )
    target = "results/data_to_text/label/train.parquet"
    failed = snakemake("-n", target, directory=tmp_path, check=False)
    assert failed.returncode and "other_teacher is null; set its init or its labels" in failed.stdout
