"""Students that copy no layers of a teacher that is a model: what is allowed, and what is refused by name."""

import pytest
from fdistill.config.usable_methods import impossible
from small_config import CHAT, METHODS, TABLE, TASK, WEB, put

SIZES = {"encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 64}
SCRATCH = put(WEB, "model.student", {"init": "scratch", "config": SIZES})
TEACHER = put(put(WEB, "model.teacher", {"init": "a/teacher"}), "model.student", {"init": "a/student"})
OWN = put(TEACHER, "model.student.own_tokenizer", True)
LAYERS = {"start": "init_student", "terms": [{"sequences": "ground_truth", "loss": "hidden_mse"}]}
ONLINE = {"start": "init_student", "terms": [{"sequences": "online_teacher_samples", "loss": "nll"}]}


@pytest.mark.parametrize(
    "task",
    [
        SCRATCH,
        TEACHER,
        put(TEACHER, "model.student.family", "t5"),
        put(OWN, "model.student.family", "gpt2"),
        put(put(SCRATCH, "model.student.own_tokenizer", True), "model.student.vocab_size", 400),
    ],
)
def test_a_student_may_be_a_model_by_itself(project, task):
    own = "own_tokenizer" in task["model"]["student"]
    table = {name: TABLE[name] | {"start": "init_student"} for name in TABLE}
    project.write(METHODS, table)
    project.write(TASK, task)
    study = project.load(methods=["mle", "seqkd"] if own else list(table))
    assert study.task("web")["model"]["student"]["init"] == task["model"]["student"]["init"]


@pytest.mark.parametrize(
    ("task", "key", "value", "text"),
    [
        (SCRATCH, "model.student.decoder", 1, "model.student.decoder: not used with init, which decides the layers"),
        (SCRATCH, "model.student.vocab_size", 400, "model.student.vocab_size: not used: the student has the teacher's"),
        (SCRATCH, "model.student.config.vocab_size", 9, "the tokenizer decides it; remove it: it is the teacher's"),
        (SCRATCH, "model.student.config.decoder_layers", ..., "missing; a student from scratch needs its size"),
        (
            SCRATCH,
            "model.student.config.max_position_embeddings",
            16,
            "32 tokens do not fit the student's 16 positions",
        ),
        (
            put(put(SCRATCH, "model.student.own_tokenizer", True), "model.student.vocab_size", 300),
            "decoding",
            {"max_new_tokens": 16, "num_beams": 301},
            "301 is more than the 300 tokens of the vocabulary (model.student.vocab_size)",
        ),
        (
            put(OWN, "model.student.family", "gemma2"),
            "decoding",
            {"max_new_tokens": 16, "engine": "ctranslate2"},
            "decoding.engine: a converted gemma2 model fails",
        ),
        (SCRATCH, "model.student.allow_pickle", True, "model.student.allow_pickle: not used with init scratch"),
        (SCRATCH, "model.student.init", "a/b", "config: "),
        (WEB, "model.student", {"init": "a/b"}, '"a/b" has another vocabulary than the teacher, whose tokenizer is'),
        (WEB, "model.student.own_tokenizer", True, "own_tokenizer: not used: the student copies the teacher's layers"),
        (WEB, "model.student.family", "t5", "model.student.family: not used without init"),
        (TEACHER, "model.student.family", "t6", "model.student.family: unknown model family 't6'; "),
        (TEACHER, "model.student.family", "gpt2", "read sources otherwise; set model.student.own_tokenizer: true"),
        (
            TEACHER,
            "model.student_sizes",
            {"s": {"encoder": 1, "decoder": 1}},
            "not possible beside a student with init",
        ),
        (CHAT, "model.student", {"init": "a/b", "own_tokenizer": True, "family": "x"}, "unknown model family 'x'"),
    ],
)
def test_mistakes(project, task, key, value, text):
    project.write(TASK, put(task, key, value))
    assert any(line.startswith(f"{TASK}: ") and text in line for line in project.mistakes(methods=["mle"]))


def test_the_parts_that_distillation_freezes_are_those_of_the_students_family(project):
    project.write(TASK, put(put(OWN, "model.student.family", "gpt2"), "training.distill.freeze", ["encoder"]))
    (line,) = project.mistakes(methods=["mle"])
    assert "training.distill.freeze[0]: 'gpt2' has no part 'encoder'" in line


@pytest.mark.parametrize(
    ("task", "method", "text"),
    [
        (TEACHER, LAYERS, "init: method 'mine' needs a student with layers of the teacher: its loss 'hidden_mse' comp"),
        (
            OWN,
            LAYERS,
            "own_tokenizer: method 'mine' needs a student with the teacher's tokenizer: its loss 'hidden_mse'",
        ),
        (OWN, TABLE["predistill"], "its loss 'kl' compares the two models token by token"),
        (OWN, ONLINE, "it samples from the teacher while it trains"),
    ],
)
def test_methods_that_such_a_student_cannot_use_are_refused_with_those_that_work(project, task, method, text):
    project.write(METHODS, TABLE | {"mine": TABLE["kl"] | method})
    project.write(TASK, task)
    (line,) = project.mistakes(methods=["mle", "mine"])
    assert line.startswith(f"{TASK}: model.student.") and text in line and "(methods that work: mle" in line
    assert ("kl" in line.split("methods that work: ")[1]) == (task is TEACHER)


def test_a_method_that_starts_from_a_refused_one_is_refused(project):
    project.write(TASK, OWN)
    (line,) = project.mistakes(methods=["seqkd"])
    assert "method 'seqkd' starts from 'predistill', which needs a student with the teacher's tokenizer" in line
    project.write(TASK, put(OWN, "method_overrides", {"seqkd": {"start": "init_student"}}))
    study = project.load(methods=["seqkd"])
    assert impossible(study.task("web"), {name: study.method(name, "web") for name in TABLE}) == ["predistill", "kl"]
