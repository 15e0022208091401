"""config/paper.yaml run to its end: its own tasks, on files as they are published and teachers of their real depths."""

import csv
import json

import paper_in_small
import pytest
import torch
from fdistill.artifacts.files import read_parquet
from fdistill.data.schemas import SPLIT
from safetensors.torch import load_file
from snake import ROOT, snakemake

pytestmark = pytest.mark.e2e

COPIED = {  # Wen et al. 2023, section 3.1 and its code: the student's stacks, and the teacher's layers in them
    "dart": {"model.encoder.layers": [0, 6, 11], "model.decoder.layers": [0]},
    "xsum": {"model.encoder.layers": [0, 6, 11], "model.decoder.layers": [0, 6, 11]},
    "wmt16_en_ro": {"encoder.block": [0, 6, 11], "decoder.block": [0]},
    "commonsense_dialogue": {"transformer.h": [0, 8, 16, 23]},
}


EMBEDDINGS = {
    "dart": "model.shared.weight",
    "xsum": "model.shared.weight",
    "wmt16_en_ro": "shared.weight",
    "commonsense_dialogue": "transformer.wte.weight",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder in which the study has run."""
    directory = tmp_path_factory.mktemp("paper")
    # BERTScore runs on the dialogues, MoverScore in tests of its own: each costs seconds per system.
    overlay = paper_in_small.write(directory, dart={"metrics": ["bleu4", "meteor", "ter", "bleurt"]})
    paper = ROOT / "config/paper.yaml"
    snakemake("--cores", "2", "--configfile", paper, overlay, "--", "all", directory=directory)
    return directory


def weights(study, task, system):
    return load_file(study / f"results/{task}/{system}/model/model.safetensors")


def split_of(study, task, split):
    return read_parquet(study / f"results/{task}/prepare/{split}.parquet", SPLIT)[0]


def test_every_table_and_figure_is_there(study):
    for table in ("main", "risk", "datasets", "examples"):
        for suffix in ("csv", "md", "tex", "html"):
            assert (study / f"results/tables/{table}.{suffix}").stat().st_size > 100
    for task in COPIED:
        for kind in ("curves", "risk"):
            assert "<svg" in (study / f"results/figures/{task}.{kind}.svg").read_text()


def test_the_papers_numbers_stand_beside_the_measured_ones(study):
    rows = list(csv.DictReader((study / "results/tables/main.csv").open()))
    found = {(row["task"], row["system"], row["metric"]): row for row in rows}
    published = {  # its Table 2
        ("dart", "teacher", "bleu4"): 48.56,
        ("dart", "js", "bleurt"): 36.81,
        ("xsum", "js", "rougeL"): 34.03,
        ("wmt16_en_ro", "js", "ter"): 66.86,
        ("commonsense_dialogue", "teacher", "bertscore"): 47.69,
    }
    for key, number in published.items():
        row = found[key]
        assert float(row["published"]) == number
        assert float(row["difference"]) == pytest.approx(float(row["mean"]) - number, abs=0.01)
    for suffix in ("md", "tex"):
        text = (study / f"results/tables/main.{suffix}").read_text()
        assert "48.56" in text and "n/a" not in text
    assert "30,526" in (study / "results/tables/datasets.md").read_text()


@pytest.mark.parametrize("task", COPIED)
def test_the_layers_copied_are_the_papers(study, task):
    teacher, student = weights(study, task, "teacher/seed42"), weights(study, task, "init_student")
    for stack, layers in COPIED[task].items():
        copies = {key: value for key, value in student.items() if key.startswith(f"{stack}.")}
        assert {int(key.removeprefix(f"{stack}.").split(".")[0]) for key in copies} == set(range(len(layers)))
        for key, value in copies.items():
            layer, rest = key.removeprefix(f"{stack}.").split(".", 1)
            assert torch.equal(value, teacher[f"{stack}.{layers[int(layer)]}.{rest}"]), key
    trained, embeddings = weights(study, task, "predistill/seed42"), EMBEDDINGS[task]
    assert torch.equal(trained[embeddings], teacher[embeddings])  # frozen
    assert any(not torch.equal(trained[key], student[key]) for key in trained)


def test_xsums_teacher_is_its_checkpoint_and_the_others_are_trained(study):
    for task, (name, _) in paper_in_small.TEACHERS.items():
        start = load_file(study / name / "model.safetensors")
        prefix = "model." if name == "bart-large" else ""  # as the hub has it, without its output layer
        teacher = weights(study, task, "teacher/seed42")
        common = {key: start[key.removeprefix(prefix)] for key in teacher if key.removeprefix(prefix) in start}
        same = [key for key, value in common.items() if torch.equal(teacher[key], value)]
        assert same == list(teacher) if task == "xsum" else len(same) < len(common)
        settings = json.loads((study / f"results/{task}/teacher/seed42/model/generation_config.json").read_text())
        assert not settings.keys() & {"num_beams", "min_length", "max_length", "no_repeat_ngram_size"}


def test_darts_references_are_merged_for_test_alone(study):
    test = split_of(study, "dart", "test")
    assert test["source"] == ["Mars Hill : joined : 1973", "the fox : jumps_over : the dog"]
    assert list(map(list, test["references"])) == [
        ["Mars Hill joined in 1973.", "In 1973 Mars Hill came."],
        ["The quick brown fox jumps over the dog."],
    ]
    train = split_of(study, "dart", "train")
    assert len(train["id"]) == paper_in_small.ROWS and all(len(several) == 2 for several in train["references"])


def test_the_rows_drawn_from_en_ro_are_recorded(study):
    train = split_of(study, "wmt16_en_ro", "train")
    rows = [int(id.removeprefix("train/")) for id in train["id"]]
    assert len(set(rows)) == paper_in_small.ROWS - 2
    assert train["source"] == [f"a good man is here, {row}" for row in rows]
    counts = json.loads((study / "results/wmt16_en_ro/prepare/manifest.json").read_text())["counts"]
    assert {"step": "train: sampled", "before": paper_in_small.ROWS, "after": len(rows)} in counts


def test_every_turn_of_a_dialogue_is_a_target(study):
    test = split_of(study, "commonsense_dialogue", "test")
    assert test["source"] == ["Kai fell.<|endoftext|>", "Kai fell.<|endoftext|>It hurts.<|endoftext|>"]
