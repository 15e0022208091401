"""The paper's study: what its configuration says, against what the paper says."""

from pathlib import Path

import pytest
import yaml
from fdistill import config
from fdistill.models.students import copied_layers
from fdistill.objectives import Objective

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "config/config.yaml", ROOT / "config/paper.yaml"]

# Wen et al. 2023, section 3.1, appendix B: Table 6; teacher depth and layers copied (its code); optimiser
PAPER = {
    "dart": ((30526, 2768, 4159), 12, {"encoder": [0, 6, 11], "decoder": [0]}, "adam"),
    "xsum": ((204045, 11332, 11334), 12, {"encoder": [0, 6, 11], "decoder": [0, 6, 11]}, "adam"),
    "wmt16_en_ro": ((100000, 1999, 1999), 12, {"encoder": [0, 6, 11], "decoder": [0]}, "adafactor"),
    "commonsense_dialogue": ((51831, 6619, 6610), 24, {"decoder": [0, 8, 16, 23]}, "adam"),
}


@pytest.fixture(scope="module")
def study():
    merged = {}
    for file in FILES:
        merged |= yaml.safe_load(file.read_text())
    return config.load(merged, FILES, ROOT)


def test_tasks_and_methods_are_those_of_table_2(study):
    assert study.tasks == list(PAPER)
    assert study.methods == ["mle", "predistill", "seqkd", "engine", "kl", "rkl", "js", "tvd"]


@pytest.mark.parametrize("name", PAPER)
def test_tasks_are_as_the_paper_has_them(study, name):
    counts, depth, layers, optimizer = PAPER[name]
    task = study.task(name)
    assert tuple(task["source"]["expected_counts"].values()) == counts
    student = task["model"]["student"]
    assert {stack: copied_layers(student[stack], depth) for stack in layers} == layers
    for stage, epochs in (("predistill", 28), ("distill", 12)):
        training = task["training"][stage]
        assert (training["epochs"], training["batch_size"], training["optimizer"]) == (epochs, 8, optimizer)
    assert task["teacher_samples"]["mode"] == "ancestral"


def test_js_weighs_both_halves_alike(study):
    assert [term["weight"] for term in study.method("js")["terms"]] == [0.5, 0.5]


@pytest.mark.parametrize("name", PAPER)
def test_changed_methods_are_methods(study, name):
    for method, changes in study.task(name)["method_overrides"].items():
        changed = study.method(method, name)
        assert [term["weight"] for term in changed["terms"]] == [term["weight"] for term in changes["terms"]]
        # pre-distillation stays Shleifer & Rush 2020, Eq. 5, with the task's own weights and temperature
        losses = [(term.sequences, term.loss) for term in Objective.from_config(changed["terms"]).terms]
        assert losses == [
            (term.sequences, term.loss) for term in Objective.from_config(study.method(method)["terms"]).terms
        ]
