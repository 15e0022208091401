"""Unlabelled inputs in a configuration: which methods learn from them, and what is refused by key."""

import pytest
from fdistill.config.unlabelled import has_unlabelled, learns_from_unlabelled, needs_labels
from fdistill.losses.sequences import GROUND_TRUTH, OTHER_TEACHER_BEAM, SEQUENCES
from small_config import METHODS, OPEN, TABLE, TASK, WEB, put
from snake import ROOT

FILES = {"kind": "files", "path": dict.fromkeys(("train", "dev", "test", "unlabelled"), "a.csv")}
SHARED = put(WEB, "source.unlabelled_share", 0.25)
WITH_FILE = put(WEB, "source", FILES)
NOT_USED = "not used: the task has no unlabelled inputs (source.unlabelled_share or source.path.unlabelled)"


def test_both_places_are_known(project):
    for task, has in ((WEB, False), (SHARED, True), (WITH_FILE, True)):
        project.write(TASK, task)
        assert has_unlabelled(project.load().task("web")) == has


def test_the_shipped_methods_that_need_labels(project):
    project.write(METHODS, (ROOT / "config/methods.yaml").read_text())
    study = project.load()
    methods = {name: study.method(name) for name in study.all_methods}
    alone = {name for name, method in methods.items() if not learns_from_unlabelled(method)}
    labelled = {name for name, method in methods.items() if any(map(needs_labels, [method]))}
    assert {"mle", "predistill", "sft", "orig_pl", "kd", "pt_labelled"} <= alone
    assert alone - labelled == {"pt_labelled"}
    assert {"kl", "rkl", "js", "tvd_online", "seqkd", "pt_one", "pt_several", "teacher_pt"} & alone == set()
    for name in ("pt_labelled", "pt_one", "pt_several", "teacher_pt"):
        assert methods[name]["include_original"] and methods[name]["start"] == "init_student"
    assert [methods[name]["per_input"] for name in ("pt_labelled", "pt_one", "pt_several")] == [1, 1, None]
    needed = needs_labels({"terms": [{"sequences": kind} for kind in SEQUENCES]})
    assert {GROUND_TRUTH, OTHER_TEACHER_BEAM} == set(needed)


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (
            put(WITH_FILE, "source.unlabelled_share", 0.5),
            "source.unlabelled_share: source.path.unlabelled names a file of unlabelled inputs already; remove one",
        ),
        (put(WEB, "source.unlabelled_share", 1), "source.unlabelled_share: 1 is not allowed"),
        (put(WEB, "source.unlabelled_share", "most"), 'source.unlabelled_share: "most" is not allowed'),
        (put(WITH_FILE, "source.path.unlabelled", "a.doc"), "source.path.unlabelled: 'a.doc' ends in none of .jsonl"),
        (put(WITH_FILE, "source.path.unlabelled", 3), "and nothing else but unlabelled"),
        (put(WITH_FILE, "source.path.unlabeled", "a.csv"), "and nothing else but unlabelled"),
        (put(WEB, "training.distill.max_unlabelled", 5), f"training.distill.max_unlabelled: {NOT_USED}"),
        (
            put(SHARED, "training.teacher.max_unlabelled", 5),
            "training.teacher.max_unlabelled: not used: a teacher learns from labels alone; remove it",
        ),
    ],
)
def test_mistakes_of_a_task_are_refused_by_key(project, task, text):
    project.refuses(task, text)


@pytest.mark.parametrize(("key", "value"), [("include_original", True), ("per_input", 2)])
def test_what_is_said_of_stored_sequences_needs_some(project, key, value):
    project.write(METHODS, put(TABLE, f"mle.{key}", value))
    (line,) = project.mistakes()
    assert line.startswith(f"{METHODS}: mle.{key}: not used: no term of the method learns from teacher_samples or")
    project.write(METHODS, put(TABLE, f"kl.{key}", value))
    project.write(TASK, put(SHARED, "teacher_samples.per_input", 2))
    assert project.load().method("kl")[key] == value


def test_a_method_uses_no_more_sequences_than_are_sampled(project):
    project.write(METHODS, put(TABLE, "kl.per_input", 5))
    (line,) = project.mistakes(methods=["kl"])
    assert "teacher_samples.per_input: 1 per input, but method 'kl' uses 5 (its per_input); raise it" in line


def test_a_method_is_trained_on_the_inputs_that_were_sampled_for(project):
    project.write(METHODS, put(TABLE, "kl.training", "predistill"))
    task = put(SHARED, "training.distill.max_unlabelled", 8)
    project.refuses(task, "training.predistill.max_unlabelled: null, but method 'kl' trains with it on teacher_samples")
    project.write(TASK, put(task, "training.predistill.max_unlabelled", 8))
    project.load()
    project.write(TASK, task)
    project.write(METHODS, put(put(TABLE, "kl.training", "predistill"), "kl.unlabelled", False))
    project.load()


def test_a_cache_has_no_original_pairs(project):
    project.write(METHODS, put(TABLE, "kl.include_original", True))
    project.refuses(
        put(WEB, "teacher_cache", "states"),
        "teacher_cache: states does not contain distributions on the original pairs (include_original), which method",
    )
    project.write(METHODS, put(TABLE, "seqkd.include_original", True))
    project.load()


def test_a_study_changes_the_share(project):
    project.write(OPEN, {"task_overrides": {"web": {"source": {"unlabelled_share": 0.5}}}})
    assert project.load().task("web")["source"]["unlabelled_share"] == 0.5
