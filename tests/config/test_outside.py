"""Checks of a task whose teacher is from outside: each message has file, key and remedy, before anything runs."""

import pytest
from small_config import METHODS, TABLE, TASK, WEB, put

SCRATCH = {"init": "scratch", "config": {"encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 64}}
OUTSIDE = WEB | {
    "model": {"family": "bart", "teacher": {"outputs": {"train": "train.jsonl"}}, "student": SCRATCH},
    "training": {stage: {"learning_rate": 0.001, "epochs": 1} for stage in ("predistill", "distill")},
}
KNOWN = put(OUTSIDE, "model.teacher.outputs.log_probs", True)
STARTS = {name: {"start": "init_student"} for name in ("seqkd", "kl")}


def term(sequences, loss, **more):
    return {**TABLE["kl"], "start": "init_student", "terms": [{"sequences": sequences, "loss": loss, **more}]}


def test_a_task_with_outputs_has_defaults_and_no_teacher(project):
    project.write(TASK, put(OUTSIDE, "method_overrides", {"seqkd": STARTS["seqkd"]}))
    task = project.load(methods=["mle", "seqkd"]).task("web")
    assert task["model"]["teacher"]["outputs"] == {
        "train": "train.jsonl",
        "unlabelled": None,
        "test": None,
        "log_probs": False,
    }
    assert task["model"]["student"] == SCRATCH | {"vocab_size": 2000} and "teacher" not in task["training"]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("model.teacher.outputs.train", "x.csv", "model.teacher.outputs.train: 'x.csv' ends in none of .jsonl"),
        ("model.teacher.outputs.test", "{x}.jsonl", "model.teacher.outputs.test: '{x}.jsonl' has a brace"),
        ("model.teacher.outputs", {"test": "x.jsonl"}, "model.teacher.outputs.train: missing"),
        ("model.teacher.vocab_size", 400, "model.teacher.vocab_size: not used: the teacher is files of outputs"),
        ("model.teacher.init", "x/y", "model.teacher.init: not used: the teacher is files of outputs"),
        ("training.teacher", {"learning_rate": 0.1, "epochs": 1}, "training.teacher: not used: the teacher is files"),
        ("teacher_cache", "states", "teacher_cache: not used: the teacher is files of outputs"),
        ("teacher_samples", {"per_input": 2}, "teacher_samples: not used: the teacher is files of outputs"),
        ("other_teacher", {"labels": "x.csv"}, "other_teacher: not used: the teacher is files of outputs"),
        ("model.student", {"encoder": 1, "decoder": 1}, 'model.student: {"encoder": 1, "decoder": 1}: a teacher from'),
        ("model.student", "12-3", 'model.student: "12-3": a teacher from outside has no layers to copy; set init'),
        ("model.student.encoder", 1, "model.student.encoder: not used with init, which decides the layers"),
        (
            "model.student_sizes",
            {"small": SCRATCH},
            "model.student_sizes.small: not possible with a teacher from outside",
        ),
        (
            "model.student.config.decoder_layers",
            ...,
            "model.student.config.decoder_layers: missing; a student from scratch",
        ),
        ("model.student.config.vocab_size", 9, "model.student.config.vocab_size: the tokenizer decides it"),
        ("model.student", {"init": "x/y", "vocab_size": 400}, "400 is not used with init 'x/y', only with scratch"),
        ("model.student", {"init": "https://x/y"}, 'model.student.init: "https://x/y" is an address'),
        ("text.max_source_tokens", 80, "80 tokens do not fit the student's 64 positions"),
        ("model.student.allow_pickle", True, "model.student.allow_pickle: not used with init scratch, which reads no"),
        ("model.student", {"init": "x/y", "source_language": "en_XX"}, "\"en_XX\" is not used with family 'bart'"),
    ],
)
def test_mistakes_of_a_task_with_outputs(project, key, value, text):
    project.write(TASK, put(OUTSIDE, key, value))
    assert any(line.startswith(f"{TASK}: ") and text in line for line in project.mistakes(methods=["mle"]))


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("model.student_sizes", {"small": SCRATCH}, "model.student_sizes.small: a size is layers of the teacher"),
        ("model.student.vocab_size", 400, "model.student.vocab_size: 400 is not used without init, only with scratch"),
        ("training.teacher", ..., "training.teacher: missing; set learning_rate and epochs"),
    ],
)
def test_a_teacher_that_is_a_model_keeps_its_keys(project, key, value, text):
    project.write(TASK, put(WEB, key, value))
    assert any(text in line for line in project.mistakes(methods=["mle"]))


@pytest.mark.parametrize(
    ("task", "method", "text"),
    [
        (OUTSIDE, term("teacher_samples", "kl"), "reads distributions; set log_probs: true if the outputs have"),
        (
            OUTSIDE,
            term("student_samples", "rkl"),
            "its loss 'rkl' on student_samples reads the teacher's distributions",
        ),
        (
            KNOWN,
            term("student_samples", "kl"),
            "its loss 'kl' on student_samples reads the teacher's distributions there",
        ),
        (KNOWN, term("ground_truth", "kl"), "its loss 'kl' on ground_truth reads the teacher's distributions there"),
        (KNOWN, term("online_teacher_samples", "nll"), "it samples from the teacher while it trains"),
        (KNOWN, term("teacher_samples", "hidden_mse"), "the outputs do not contain hidden states"),
        (KNOWN, term("teacher_samples", "kl", temperature=2.0), "do not contain distributions at another temperature"),
        (KNOWN, term("teacher_beam", "rkl"), "its loss 'rkl' is infinite where"),
        (KNOWN, term("teacher_samples", "alpha", parameters={"alpha": 0}), "its loss 'alpha' is infinite where"),
        (KNOWN, term("teacher_samples", "skew_rkl", parameters={"skew": 0}), "its loss 'skew_rkl' is infinite where"),
        (
            KNOWN,
            term("teacher_samples", "kl") | {"include_original": True},
            "the outputs do not contain distributions on the original pairs (include_original)",
        ),
    ],
)
def test_methods_that_need_the_teacher_itself_are_refused_by_name(project, task, method, text):
    project.write(METHODS, TABLE | {"mine": method})
    project.write(TASK, task)
    (line,) = project.mistakes(methods=["mle", "mine"])
    assert line.startswith(f"{TASK}: model.teacher.outputs: method 'mine' needs the teacher itself: ") and text in line
    assert "methods that work: mle" in line


@pytest.mark.parametrize("method", [TABLE["predistill"], term("other_teacher_beam", "nll")])
@pytest.mark.parametrize("selected", ["mine", "after"])
def test_a_method_that_is_refused_has_no_other_remedy(project, method, selected):
    """Neither the settings of a stage that it would be trained with, nor labels that it would learn from."""
    project.write(METHODS, TABLE | {"mine": method, "after": TABLE["seqkd"] | {"start": "mine"}})
    project.write(TASK, put(OUTSIDE, "training.predistill", ...))
    (line,) = project.mistakes(methods=[selected])
    assert "needs the teacher itself" in line and "task_overrides" not in line


def test_original_pairs_beside_texts_alone(project):
    project.write(METHODS, TABLE | {"mine": term("teacher_beam", "nll") | {"include_original": True}})
    project.write(TASK, OUTSIDE)
    assert project.load(methods=["mine"]).methods == ["mine"]


@pytest.mark.parametrize("given", ["inputs", "outputs"])
def test_unlabelled_inputs_and_outputs_for_them_come_together(project, given):
    key, value = {
        "inputs": ("source.unlabelled_share", 0.5),
        "outputs": ("model.teacher.outputs.unlabelled", "unlabelled.jsonl"),
    }[given]
    project.write(TASK, put(OUTSIDE, key, value))
    (line,) = project.mistakes(methods=["mle"])
    missing = {"inputs": "outputs for them", "outputs": "unlabelled inputs"}[given]
    assert f"{TASK}: model.teacher.outputs.unlabelled: the task has no {missing}: give this file and" in line


@pytest.mark.parametrize("loss", ["kl", "tvd", "kl_p_mixture", "skew_kl", "skew_rkl", "squared_hellinger", "alpha"])
@pytest.mark.parametrize("sequences", ["teacher_samples", "teacher_beam"])
def test_methods_that_learn_from_log_probabilities(project, sequences, loss):
    project.write(METHODS, TABLE | {"mine": term(sequences, loss)})
    project.write(TASK, KNOWN)
    assert project.load(methods=["mine"]).methods == ["mine"]


def test_a_method_that_starts_from_one_that_does_not_work(project):
    project.write(TASK, OUTSIDE)
    (line,) = project.mistakes(methods=["mle", "seqkd"])
    assert f"{TASK}: method_overrides: method 'seqkd' starts from 'predistill', which needs the teacher itself" in line
    assert "set method_overrides.seqkd.start to init_student or to a method that works (methods that work: mle)" in line
    # A chain of starts is one line too, and a method that is both asked for and started from is named once as each.
    chain = {"seqkd": {"start": "kl"}, "kl": {"start": "predistill"}}
    project.write(TASK, put(KNOWN, "method_overrides", chain))
    (line,) = project.mistakes(methods=["seqkd"])
    assert "method 'seqkd' starts from 'predistill', which needs the teacher itself" in line
    assert len(project.mistakes(methods=["predistill", "seqkd"])) == 2
    project.write(TASK, put(KNOWN, "method_overrides", STARTS))
    assert project.load(methods=["mle", "seqkd", "kl"]).method("kl", "web")["start"] == "init_student"


def test_layers_of_a_teacher_from_outside_cannot_be_copied(project):
    checkpoint = put(put(WEB, "model.teacher", {"init": "x/y"}), "model.student.encoder", {"layers": 1, "from": "out"})
    project.write(TASK, checkpoint)
    project.write("config/tasks/out.yaml", OUTSIDE)
    lines = project.mistakes(tasks=["web", "out"], methods=["mle"])
    assert any("the teacher of 'out' is a file of outputs, without layers" in line for line in lines)
