"""A method's schedule and what belongs to it: what a study reads, and mistakes."""

import argparse
import json

import pytest
from fdistill.config import arguments
from small_config import METHODS, TABLE, TASK, WEB, put

TERMS = [{"sequences": kind, "loss": "kl"} for kind in ("ground_truth", "student_samples")]
MIXED = TABLE["kl"] | {"terms": TERMS}


def test_a_schedule_has_its_defaults(project):
    project.write(METHODS, TABLE | {"gkd": MIXED | {"schedule": {"student_share": 0.5}}})
    gkd = project.load().method("gkd")
    assert gkd["schedule"] == {"student_share": 0.5, "draw": "random", "course": "constant", "end_share": None}
    assert (gkd["reduction"], gkd["replay_size"]) == ("tokens", 1000)
    assert project.load().method("kl")["schedule"] is None


MISTAKES = [
    ({}, "student_share: missing; set a number from 0 to 1"),
    ({"student_share": 1.5}, "student_share: 1.5 is not allowed; must be a number from 0 to 1"),
    ({"student_share": 0.5, "draw": "odd"}, 'draw: "odd" is not allowed; must be one of alternating, random'),
    ({"student_share": 0.5, "course": "linear"}, "end_share: missing; course 'linear' needs it"),
    ({"student_share": 0.5, "end_share": 1}, "end_share: 1 is not used with course 'constant', only with linear"),
    ({"student_share": 0.5, "growth": 0.2}, "growth: 0.2 is not used with course 'constant', only with adaptive"),
    (
        {"student_share": 0.5, "draw": "alternating", "course": "adaptive"},
        "course: 'adaptive' changes the share, which draw 'alternating' keeps; set draw: random",
    ),
    (
        {"student_share": 0, "course": "exponential", "end_share": 1},
        "end_share: 1 leaves a share of 0 to the other steps, which no constant factor leads to",
    ),
    ({"student_share": 0}, "student_share: 0 leaves the terms of one of the two groups unused"),
    *(
        (
            {"student_share": share} | more,
            f"student_share: {share} from the start to the end of the run leaves the terms",
        )
        for share, more in [
            (0, {"course": "linear", "end_share": 0}),
            (1, {"course": "linear", "end_share": 1.0}),
            (0, {"course": "exponential", "end_share": 0.0}),
            (1, {"course": "exponential", "end_share": 1}),
            (1, {"course": "adaptive"}),
        ]
    ),
    ({"student_share": 1, "draw": "alternating"}, "student_share: 1 leaves the terms of one of the two groups unused"),
    ({"student_share": 0.5, "lambda": 0.5}, "lambda: unknown key; known: student_share, draw, course, end_share"),
]


@pytest.mark.parametrize(("schedule", "text"), MISTAKES)
def test_mistakes_in_a_schedule(project, schedule, text):
    project.write(METHODS, TABLE | {"gkd": MIXED | {"schedule": schedule}})
    (line,) = project.mistakes()
    assert line.startswith(f"{METHODS}: gkd.schedule.{text}")
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        arguments.schedule(json.dumps(schedule))
    assert str(refused.value).startswith(text)


@pytest.mark.parametrize("schedule", [{"course": "linear", "end_share": 1}, {"course": "adaptive"}])
def test_a_course_that_reaches_both_groups_is_accepted(project, schedule):
    project.write(METHODS, TABLE | {"gkd": MIXED | {"schedule": {"student_share": 0} | schedule}})
    assert project.load().method("gkd")["schedule"]["course"] == schedule["course"]


@pytest.mark.parametrize("epochs", [1, 0.5, 0, 2])
def test_an_adaptive_share_needs_an_evaluation_before_the_end(project, epochs):
    project.write(METHODS, TABLE | {"gkd": MIXED | {"schedule": {"student_share": 0, "course": "adaptive"}}})
    project.write(TASK, put(WEB, "training.distill.epochs", epochs))
    project.load(methods=["kl"])
    if epochs in (0, 2):  # no training, or an evaluation in its middle
        project.load(methods=["gkd"])
        return
    (line,) = project.mistakes(methods=["gkd"])
    text = f"1 epochs leave no evaluation before the end of training, after {epochs}, so that the share of method 'gkd'"
    assert line.startswith(f"{TASK}: training.distill.evaluate_every: {text}")
    cure = {"web": {"training": {"distill": {"epochs": 10, "evaluate_every": 0.1}}}}
    assert project.load(methods=["gkd"], task_overrides=cure).training("web", "distill")["epochs"] == 10


@pytest.mark.parametrize("kinds", [["ground_truth", "teacher_samples"], ["student_samples"]])
def test_a_schedule_has_something_to_choose_from(project, kinds):
    terms = [{"sequences": kind, "loss": "kl"} for kind in kinds]
    project.write(METHODS, TABLE | {"gkd": MIXED | {"terms": terms, "schedule": {"student_share": 0.5}}})
    (line,) = project.mistakes()
    assert line.startswith(f"{METHODS}: gkd.schedule: chooses between terms on student_samples or replayed_samples and")


def test_what_no_term_uses(project):
    project.write(METHODS, TABLE | {"gkd": MIXED | {"replay_size": 10}})
    assert project.mistakes() == [
        f"{METHODS}: gkd.replay_size: not used: no term of the method learns from replayed_samples; remove it"
    ]
    replayed = [{"sequences": "replayed_samples", "loss": "kl"}]
    sampling = {"mode": "nucleus", "top_p": 0.95}
    own = {"terms": replayed, "replay_size": 10, "student_samples": sampling}
    project.write(METHODS, TABLE | {"gkd": MIXED | own})
    assert project.load().method("gkd")["replay_size"] == 10
    project.write(METHODS, TABLE | {"gkd": MIXED | own | {"replay_size": 7}})
    (line,) = project.mistakes(methods=["gkd"])
    assert "training.distill.batch_size: a step has 8 examples (batch_size x accumulation)" in line
    assert "method 'gkd' stores only 7 (its replay_size)" in line


def test_a_policy_gradient_is_the_current_students(project):
    terms = [{"sequences": "replayed_samples", "loss": "policy_gradient"}]
    project.write(METHODS, TABLE | {"pg": MIXED | {"terms": terms}})
    (line,) = project.mistakes()
    assert line == (
        f"{METHODS}: pg.terms[0].sequences: 'policy_gradient' needs sequences of the current student; set "
        "student_samples"
    )
