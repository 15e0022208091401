"""Chains of methods: what starts from what, circles, and the training stage that not every task has."""

import pytest
from fdistill.config.method_starts import with_starts
from fdistill.runtime.errors import UserError
from small_config import MERGED, METHODS, OPEN, TABLE, TASK, WEB, put

FINETUNE = {"learning_rate": 0.0001, "epochs": 2}
TUNED = TABLE["mle"] | {"title": "KL, fine-tuned", "start": "kl", "training": "finetune"}
CHAIN = TABLE | {"tuned": TUNED}
TASK_WITH_STAGE = put(WEB, "training.finetune", FINETUNE)


def test_a_method_is_trained_after_those_that_it_starts_from(project):
    project.write(METHODS, CHAIN)
    project.write(TASK, TASK_WITH_STAGE)
    study = project.load(methods=["tuned", "seqkd"])
    assert list(study.trained("web")) == ["predistill", "kl", "tuned", "seqkd"]
    assert study.method("tuned", "web")["start"] == "kl"
    assert study.training("web", "finetune")["learning_rate"] == 0.0001
    assert study.sequences("web") == {"ground_truth", "teacher_samples", "teacher_beam"}


def test_a_chain_stays_in_its_size(project):
    project.write(METHODS, CHAIN)
    project.write(TASK, put(TASK_WITH_STAGE, "model.student_sizes", {"e1d1": {"encoder": 1, "decoder": [0]}}))
    study = project.load()
    assert study.method("tuned-e1d1", "web")["start"] == "kl-e1d1"
    assert study.method("kl-e1d1", "web")["start"] == "predistill-e1d1"
    assert study.method("mle-e1d1", "web")["start"] == "init_student-e1d1"


@pytest.mark.parametrize(
    ("starts", "mistakes"),
    [
        ({"kl": "kl"}, ["kl.start: the method cannot start from itself; write start: init_student"]),
        ({"kl": "kll"}, ["kl.start: there is no method 'kll' to start from; did you mean 'kl'?"]),
        (
            {"mle": "predistill-e1d1"},
            ["mle.start: there is no method 'predistill-e1d1' to start from; did you mean 'predistill'?"],
        ),
        (
            {"mle": "kl", "predistill": "mle"},  # seqkd, which leads into the circle, is none of it
            [
                "mle.start: the methods start from each other (mle -> kl -> predistill -> mle); start one from "
                "init_student",
                "predistill.start: the methods start from each other (predistill -> mle -> kl -> predistill); start "
                "one from init_student",
                "kl.start: the methods start from each other (kl -> predistill -> mle -> kl); start one from "
                "init_student",
            ],
        ),
    ],
)
def test_starts_that_lead_nowhere(project, starts, mistakes):
    table = TABLE
    for name, start in starts.items():
        table = put(table, f"{name}.start", start)
    project.write(METHODS, table)
    assert project.mistakes() == [f"{METHODS}: {mistake}" for mistake in mistakes]


def test_a_circle_that_a_task_makes(project):
    project.write(TASK, WEB | {"method_overrides": {"predistill": {"start": "kl"}}})
    lines = project.mistakes()
    assert len(lines) == 2 and all(line.startswith(f"{TASK}: method_overrides.") for line in lines)
    assert all("the methods start from each other" in line for line in lines)


def test_circles_end_the_search():
    circle = {"a": {"start": "b"}, "b": {"start": "c"}, "c": {"start": "b"}}
    assert with_starts(["a"], circle) == ["c", "b", "a"]


# --- the stage that not every task has


def test_a_method_whose_stage_the_task_has_not(project):
    project.write(METHODS, CHAIN)
    study = project.load()  # the study does not select it
    with pytest.raises(UserError, match=r"task 'web': training\.finetune is missing; set its learning_rate and epochs"):
        study.training("web", "finetune")
    (line,) = project.mistakes(methods=["tuned"])
    assert line == (
        f"{MERGED}: methods[0]: 'tuned' is trained with training.finetune, which task 'web' does not have; set "
        "task_overrides.web.training.finetune: its learning_rate and epochs, or remove the method"
    )
    project.write(OPEN, {"task_overrides": {"web": {"training": {"finetune": FINETUNE}}}})
    assert project.load(methods=["tuned"]).training("web", "finetune")["batch_size"] == 8


def test_a_task_without_pre_distillation(project):
    """It is needed if, and only if, a method of the study or one that it starts from uses it."""
    project.write(TASK, put(WEB, "training.predistill", ...))
    own = TABLE["kl"] | {"start": "init_student"}
    project.write(METHODS, TABLE | {"own": own})
    assert project.load(methods=["own"]).trained("web").keys() == {"own"}
    (line,) = project.mistakes(methods=["own", "kl", "seqkd"])  # both start from it
    assert "methods[1]: 'predistill', from which 'kl' and 'seqkd' start, is trained with training.predistill" in line
    changes = {"kl": {"start": "init_student"}, "seqkd": {"start": "init_student"}}
    remedy = "task_overrides.web.method_overrides: {kl: {start: init_student}, seqkd: {start: init_student}}"
    assert f", set {remedy}, or remove the methods" in line
    project.load(methods=["kl", "seqkd"], task_overrides={"web": {"method_overrides": changes}})
    (line,) = project.mistakes(methods=["mle"])
    assert "methods[0]: 'mle' is trained with training.predistill, which task 'web' does not have" in line


def test_the_stage_selects_by_its_own_settings(project):
    overrides = {"finetune": {"metric": "bleu4"}}
    project.write(TASK, TASK_WITH_STAGE | {"selection_overrides": overrides})
    assert project.load().selection("web", "finetune")["metric"] == "bleu4"
    project.write(TASK, WEB | {"selection_overrides": overrides})
    (line,) = project.mistakes()
    assert line.startswith(f"{TASK}: selection_overrides.finetune: unknown stage")
