"""Checks of a task's other teacher, and of losses on attention: each message has file, key and remedy."""

import pytest
from small_config import CHAT, MAIN, METHODS, TABLE, TASK, WEB, put

ORIG_PL_PL = TABLE["mle"] | {"training": "distill", "terms": [{"sequences": "other_teacher_beam", "loss": "nll"}]}
ATTENTION = TABLE["mle"] | {"terms": [{"sequences": "ground_truth", "loss": "attention_mse"}]}


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({}, "other_teacher: has neither of init and labels; set init"),
        ({"init": "x/y", "labels": "l.csv"}, "other_teacher: has both of init and labels; set init"),
        ({"labels": "l.txt"}, "other_teacher.labels: 'l.txt' ends in none of .jsonl"),
        ({"labels": "l.csv", "allow_pickle": True}, "other_teacher.allow_pickle: not used with labels"),
        ({"init": "scratch"}, "other_teacher.init: scratch has learnt nothing; give a fine-tuned checkpoint"),
        ({"init": "https://x/y"}, 'other_teacher.init: "https://x/y" is an address'),
        ({"init": "x/y", "text": {"max_tokens": 3}}, "other_teacher.text.max_tokens: unknown key"),
        ({"init": "x/y", "text": {"max_source_tokens": 0}}, "other_teacher.text.max_source_tokens: 0 is not allowed"),
    ],
)
def test_mistakes_of_the_other_teacher(project, other, text):
    project.refuses(put(WEB, "other_teacher", other), text)


def test_its_lengths_are_in_its_own_tokens(project):
    task = put(WEB, "other_teacher", {"init": "x/y", "text": {"max_target_tokens": 40}})
    project.write(TASK, put(task, "other_teacher_beam", {"mode": "beam", "num_beams": 4, "max_new_tokens": 40}))
    assert project.load().task("web")["text"]["max_target_tokens"] == 16
    longer = put(task, "other_teacher_beam", {"mode": "beam", "num_beams": 4, "max_new_tokens": 41})
    project.refuses(longer, "41 is more than max_target_tokens of other_teacher.text, 40; lower it or raise that")


def test_a_study_whose_task_has_no_other_teacher(project):
    project.write(METHODS, TABLE | {"orig_pl_pl": ORIG_PL_PL})
    (line,) = project.mistakes(methods=["mle", "orig_pl_pl"])
    assert (
        line.startswith(("config (merged", MAIN)) and "methods[1]: 'orig_pl_pl' learns from other_teacher_beam" in line
    )
    assert "task 'web' has no other teacher; set task_overrides.web.other_teacher" in line
    study = project.load(methods=["orig_pl_pl"], task_overrides={"web": {"other_teacher": {"labels": "l.csv"}}})
    assert study.sequences("web") == {"other_teacher_beam"}


def test_attention_needs_an_encoder(project):
    project.write(METHODS, TABLE | {"attention": ATTENTION})
    project.write(TASK, CHAT)
    lines = project.mistakes(methods=["attention"])
    assert any("model.family: 'gpt2' has only a decoder, but method 'attention' has the loss" in line for line in lines)
