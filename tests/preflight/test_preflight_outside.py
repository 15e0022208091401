"""Preflight of a task whose teacher is from outside: its files are read to the last row, and its student is sized."""

import json

import pytest
from fdistill.artifacts.files import write_parquet
from fdistill.data.schemas import SPLIT
from fdistill.preflight import disk, gpu, teachers
from plans import plan

SIZES = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 64}
SIZES |= {f"{stack}_attention_heads": 2 for stack in ("encoder", "decoder")}
SIZES |= {f"{stack}_ffn_dim": 8 for stack in ("encoder", "decoder")}
ROW = {"id": "1", "text": "a b"}


def of_outside(project, *rows, config=(), more=(), **outputs):
    """The plan of a task with a file of outputs and `more` changes, and what preflight finds of its teacher."""
    file = project.root / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = [
        ("model.teacher", {"outputs": {"train": str(file)} | outputs}),
        ("model.student", {"init": "scratch", "config": SIZES | dict(config)}),
        ("training.teacher", ...),
        *more,
    ]
    made = plan(project, *changes, methods=["mle"])
    return made, list(teachers.check(made))


def test_the_student_has_a_size_and_the_outputs_are_counted(project):
    made, (student, outputs) = of_outside(project, ROW, {"source": "x", "text": ["a", "b"]})
    assert not student.problem and student.text.startswith("student 0.0 M parameters; trained from scratch")
    assert not outputs.problem and outputs.text.startswith("3 outputs; ")
    assert outputs.where == "web: outputs for train"
    assert all(not finding.problem for check in (gpu.check, disk.check) for finding in check(made))


def test_a_row_that_cannot_be_used_is_found_before_anything_runs(project):
    _, (_, outputs) = of_outside(project, *[ROW] * 20, {"id": "2", "text": " "})
    assert outputs.problem and "train.jsonl, line 21: 'text' is blank" in outputs.text
    _, (_, outputs) = of_outside(project, ROW, log_probs=True)
    assert outputs.problem and "no row has log-probabilities" in outputs.text
    wrong = ROW | {"tokens": ["a"], "log_probs": [1]}
    _, (_, outputs) = of_outside(project, wrong, log_probs=True)
    assert outputs.problem and "the log-probability of 'a' is 1" in outputs.text
    _, (_, outputs) = of_outside(project, wrong)
    assert not outputs.problem
    _, (_, _, outputs) = of_outside(project, ROW, test=str(project.root / "none.jsonl"))
    assert outputs.problem and "none.jsonl: no such file" in outputs.text


def test_inputs_are_compared_when_the_data_are_prepared(project):
    prepared = project.root / "results/web/prepare/train.parquet"
    prepared.parent.mkdir(parents=True)
    columns = {"id": ["1", "2"], "group": ["", ""], "source": ["x", "y"], "references": [["a"]] * 2}
    write_parquet(prepared, columns, SPLIT)
    _, (_, outputs) = of_outside(project, ROW)
    assert outputs.problem and "has no output for 1 of 2 inputs ('2')" in outputs.text
    _, (_, outputs) = of_outside(project, ROW, {"source": "y", "text": "b"})
    assert not outputs.problem


@pytest.mark.parametrize(("limit", "is_complete"), [(None, False), (1, True)])
def test_as_many_unlabelled_inputs_as_are_learnt_from_need_outputs(project, limit, is_complete):
    prepared = project.root / "results/web/prepare/unlabelled.parquet"
    prepared.parent.mkdir(parents=True)
    columns = {"id": ["1", "2"], "group": ["", ""], "source": ["x", "y"], "references": [[], []]}
    write_parquet(prepared, columns, SPLIT)
    more = [("source.unlabelled_share", 0.5), ("training.distill.max_unlabelled", limit)]
    _, (*_, outputs) = of_outside(project, ROW, more=more, unlabelled=str(project.root / "train.jsonl"))
    assert outputs.where == "web: outputs for unlabelled" and bool(outputs.problem) == (not is_complete)


def test_a_configuration_that_cannot_be_made_is_refused_by_the_students_key(project):
    _, (student, _) = of_outside(project, ROW, config={"dropout": 5})
    assert student.problem and "model.student.config.dropout: 5 is not allowed" in student.text
