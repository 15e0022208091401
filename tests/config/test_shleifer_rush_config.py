"""Shleifer & Rush's study, cell by cell against its table of docs/settings.md, and what its tasks say of each other."""

import re

import pytest
import yaml
from fdistill import config
from fdistill.config.files import merge
from fdistill.config.other_teacher_checks import text_of
from shleifer_rush_in_small import TEACHERS
from snake import ROOT

FILES = [ROOT / "config/config.yaml", ROOT / "config/shleifer_rush.yaml"]
TASKS = list(TEACHERS)
TASK_OF = {teacher: task for task, (teacher, _) in TEACHERS.items()}
SOURCES = ("paper", "code", "ours", "as the other tasks", "not used")
LENGTHS = ("max_source_tokens", "max_target_tokens", "source_prefix", "too_long")
BEAM = ("num_beams", "length_penalty", "min_new_tokens", "no_repeat_ngram_size")


@pytest.fixture(scope="module")
def study():
    merged = {}
    for file in FILES:
        merged = merge(merged, yaml.safe_load(file.read_text()))
    return config.load(merged, FILES, ROOT)


def test_tasks_methods_and_sizes_are_those_of_tables_5_and_10(study):
    assert study.tasks == TASKS and study.methods == ["sft", "kd", "pl", "orig_pl", "orig_pl_pl"]
    sizes = {task: [study.task(task, size)["model"]["student"] for size in study.sizes(task)] for task in TASKS}
    bart, pegasus = ([{"encoder": 12, "decoder": n} for n in layers] for layers in ((3, 6), (4,)))
    pegasus = [size | {"encoder": 16} for size in pegasus]
    assert sizes == {
        "xsum": bart,
        "xsum_pegasus": pegasus,
        "cnn_dailymail": bart,
        "cnn_dailymail_pegasus": pegasus,
        "wmt16_en_ro_marian": [{"encoder": 6, "decoder": 3}],
        "wmt16_en_ro_mbart": bart[:1],
    }


@pytest.mark.parametrize("task", TASKS)
def test_the_other_teacher_labels_as_it_does_where_it_is_the_teacher(study, task):
    ours = study.task(task)
    teacher, other = TEACHERS[task]
    theirs = study.task(TASK_OF[other])
    assert (ours["model"]["teacher"]["init"], ours["other_teacher"]["init"]) == (teacher, other)
    for key in ("source_language", "target_language"):
        assert ours["other_teacher"][key] == theirs["model"]["teacher"][key]
    assert [text_of(ours)[key] for key in LENGTHS] == [theirs["text"][key] for key in LENGTHS]
    labels, beam = ours["other_teacher_beam"], theirs["teacher_beam"]
    assert labels["mode"] == beam["mode"] == "beam"
    assert [labels[key] for key in (*BEAM, "max_new_tokens")] == [beam[key] for key in (*BEAM, "max_new_tokens")]


@pytest.mark.parametrize("task", TASKS)
def test_pseudo_labels_are_decoded_like_the_test_split(study, task):
    """XSum's length penalty of Wen et al. 2023 at test is theirs alone."""
    decoding, beam = study.task(task)["decoding"], study.task(task)["teacher_beam"]
    assert [decoding[key] for key in BEAM] == [beam[key] or (1.0 if "penalty" in key else 0) for key in BEAM]


def kd_terms(study, task):
    terms = study.method("kd", task)["terms"]
    assert [(term["loss"], term["weight"], term["temperature"]) for term in terms] == [
        ("kl", 0.8, 2),
        ("nll", 1, 1),
        ("hidden_mse", 3, 1),
    ]
    return {term["loss"]: term for term in terms}


def cells(study, task):
    """A task's row of the document."""
    settings = study.task(task)
    training = settings["training"]["distill"]
    assert {study.method(name, task)["training"] for name in study.methods} == {"distill"}
    assert (training["optimizer"], training["freeze"]) == ("adam", ["embeddings", "encoder"])
    assert (training["epochs"], training["evaluate_every"], training["patience"]) == (5, 0.25, 4)  # section 4
    assert (training["warmup_steps"], training["weight_decay"], training["max_grad_norm"]) == (500, 0, 1)
    selection = settings["selection"]
    normalised = kd_terms(study, task)["hidden_mse"]["parameters"]["normalize"]
    return [
        f"{training['learning_rate']:.0e}".replace("e-0", "e-"),
        f"{training['batch_size']} × {training['accumulation']}",
        training["precision"],
        "yes" if normalised else "no",
        f"{selection['metric']}, {selection['num_beams']} beams, {selection['max_inputs']} inputs",
        str(settings["text"]["max_source_tokens"]),
        str(settings["text"]["max_target_tokens"]),
        str(settings["decoding"]["num_beams"]),
        f"{settings['decoding']['length_penalty']:g}",
    ]


@pytest.mark.parametrize("task", TASKS)
def test_the_document_says_what_the_configuration_says(study, task):
    section = (ROOT / "docs/settings.md").read_text().split("## Shleifer & Rush 2020")[1].split("\n## ")[0]
    (row,) = re.findall(rf"^\| `{task}` \|(.*)\|$", section, re.M)
    assert [cell.strip() for cell in row.split("|")] == cells(study, task)


@pytest.mark.parametrize("file", [f"tasks/{task}.yaml" for task in TASKS if task != "xsum"] + ["shleifer_rush.yaml"])
def test_every_setting_names_its_source(file):
    text = (ROOT / "config" / file).read_text()
    after = "\ntask_overrides:\n" if file == "shleifer_rush.yaml" else "\ntext:\n"
    lines, under = [], ""
    for line in text.split(after)[1].splitlines():
        setting, _, comment = line.partition("  #")
        indent = len(setting) - len(setting.lstrip())
        if re.search(r":( &\w+)?$", setting.rstrip()):
            under = (indent, comment)  # what a mapping's comment says holds for its values
        elif setting.strip():
            inherited = under[1] if under and indent > under[0] else ""
            lines.append((line, comment or inherited))
    assert len(lines) > 20
    own = (*SOURCES, *(f"as {task}" for task in TASKS))
    assert [line for line, comment in lines if not any(re.search(rf"\b{source}\b", comment) for source in own)] == []
