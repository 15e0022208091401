"""config/shleifer_rush.yaml with Pegasus, Marian and mBART, run to its metrics: teachers of their real depths.

BART teaches here as Pegasus' other teacher; `test_paper_in_small` distils it.
"""

import json
import math

import pytest
import shleifer_rush_in_small as small
import torch
from fdistill.artifacts.files import read_parquet
from fdistill.data.schemas import LABELS, SAMPLES
from fdistill.models.checkpoints import load
from safetensors.torch import load_file
from snake import ROOT, snakemake

pytestmark = pytest.mark.e2e

RESULTS = "studies/shleifer_rush"
COPIED = {  # Shleifer & Rush 2020, Tables 5 and 9 and their code: the teacher's layers in the decoder, of how many
    "xsum_pegasus": ([0, 5, 10, 15], 16),
    "wmt16_en_ro_marian": ([0, 2, 5], 6),
    "wmt16_en_ro_mbart": ([0, 6, 11], 12),
}
METHOD = {"xsum_pegasus": "orig_pl_pl", "wmt16_en_ro_marian": "kd", "wmt16_en_ro_mbart": "orig_pl_pl"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The results' folder of the study after a method of each of three tasks."""
    directory = tmp_path_factory.mktemp("shleifer_rush")
    files = ["--configfile", ROOT / "config/shleifer_rush.yaml", small.write(directory, small.overlay(directory))]
    targets = [f"{RESULTS}/{task}/{method}/metrics.json" for task, method in METHOD.items()]
    snakemake("--cores", "2", *files, "--", *targets, directory=directory)
    return directory / RESULTS


def weights(study, task, system):
    return load_file(study / f"{task}/{system}/model/model.safetensors")


@pytest.mark.parametrize("task", COPIED)
def test_the_layers_copied_are_theirs_and_only_the_decoder_is_trained(study, task):
    teacher, student = weights(study, task, "teacher/seed42"), weights(study, task, "init_student")
    layers, depth = COPIED[task]
    at = "model.decoder.layers."
    for key in (key for key in student if key.startswith(at)):
        number, rest = key.removeprefix(at).split(".", 1)
        assert torch.equal(student[key], teacher[f"{at}{layers[int(number)]}.{rest}"]), key
    assert {int(key.removeprefix(at).split(".")[0]) for key in teacher if key.startswith(at)} == set(range(depth))
    trained = weights(study, task, f"{METHOD[task]}/seed42")
    changed = {key for key in trained if not torch.equal(trained[key], student[key])}
    assert changed and all(key.startswith("model.decoder.") for key in changed)
    frozen = [key for key in trained if key.startswith("model.encoder.") or key == "model.shared.weight"]
    assert len(frozen) > depth and all(torch.equal(trained[key], teacher[key]) for key in frozen)


@pytest.mark.parametrize("task", COPIED)
def test_each_student_is_scored(study, task):
    metrics = json.loads((study / f"{task}/{METHOD[task]}/metrics.json").read_text())["metrics"]
    assert set(metrics) == ({"rouge1", "rouge2", "rougeL"} if "xsum" in task else {"bleu4"})
    assert all(math.isfinite(metric["mean"]) for metric in metrics.values())


@pytest.mark.parametrize("task", [task for task, method in METHOD.items() if method == "orig_pl_pl"])
def test_the_other_teachers_labels_are_those_of_the_other_family(study, task):
    labels, _ = read_parquet(study / f"{task}/label/train.parquet", LABELS)
    samples, identity = read_parquet(study / f"{task}/encode_labels/train.other_teacher_beam.parquet", SAMPLES)
    tokenizer = load(study / f"{task}/teacher/seed42/model").tokenizer
    assert identity["other_tokenizer"] != identity["tokenizer"] and any(labels["text"])
    assert {row[-1] for row in samples["tokens"]} == {tokenizer.eos_token_id}
    assert len(tokenizer) > max(map(max, samples["tokens"]))
