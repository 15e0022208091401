"""The cost of a study, computed from the costs of its stages."""

import pytest
from fdistill.bench.study import Job, Sizes, chains_of, jobs_of, makespan, plan
from workloads import METHODS

JOBS = {"a": Job(3), "b": Job(2, frozenset("a")), "c": Job(4, frozenset("a")), "d": Job(1), "e": Job(1)}


@pytest.mark.parametrize(("devices", "seconds"), [(1, 11), (2, 7), (3, 7)])
def test_jobs_are_scheduled_longest_chain_first(devices, seconds):
    assert makespan(JOBS, devices) == seconds
    assert max(chains_of(JOBS).values()) == 7


STAGES = {
    "predistill": {"terms": [], "start": "init_student", "training": "predistill", "unlabelled": True},
    "js": {"terms": METHODS["js"], "start": "predistill", "training": "distill", "unlabelled": True},
}
COSTS = {"finetune_teacher": 4, "teacher_samples": 3, "test_samples": 6, "teacher/generate": 9} | {
    "predistill": 2, "js": 5, "generate": 7, "risk": 1,
}  # fmt: skip
# the teacher with its samples and outputs; then predistill and js, each with outputs and risks
TOTAL = (80 + 30 + 6 + 9) + 2 * (20 + 150 + 2 * 8)


def test_the_jobs_of_a_study_wait_for_what_they_read():
    sizes = Sizes({"teacher": 20, "predistill": 10, "distill": 30}, sampled=10, inputs=1)
    jobs = jobs_of("xsum", COSTS, sizes, STAGES, 2)
    assert len(jobs) == 4 + 2 * 2 * 2
    assert jobs["xsum/js/1"] == Job(
        150, frozenset({"xsum/finetune_teacher", "xsum/teacher_samples", "xsum/predistill/1"})
    )
    assert jobs["xsum/js/1/generate"] == Job(7 + 1, frozenset({"xsum/js/1", "xsum/test_samples"}))
    assert makespan(jobs, 1) == sum(job.seconds for job in jobs.values()) == TOTAL


def test_a_plan_has_the_studys_own_sizes():
    def stage(epochs, **bounds):
        bounds = {"max_examples": None, "max_steps": None} | bounds
        return {"epochs": epochs, "batch_size": 5, "accumulation": 2, **bounds}

    task = {
        "training": {"teacher": stage(1), "predistill": stage(9, max_steps=1), "distill": stage(3, max_examples=10)}
    }
    planned = plan({"xsum": COSTS}, {"xsum": task}, {"xsum": {"train": 20, "test": 1}}, STAGES, 2, [1, 4])
    assert planned["stages"] == {
        name: {"xsum": seconds}
        for name, seconds in {
            "finetune_teacher": 80, "test_samples": 6, "generate": 9 + 4 * (7 + 1), "teacher_samples": 30,
            "predistill": 40, "js": 300,
        }.items()
    }  # fmt: skip
    assert planned["seconds"]["1"] == TOTAL == sum(by_task["xsum"] for by_task in planned["stages"].values())
    assert planned["seconds"]["4"] == planned["longest_chain"] == 80 + 30 + 150 + 8


def test_unlabelled_inputs_and_original_pairs_make_epochs_longer():
    def stage(**bounds):
        return {"epochs": 3, "batch_size": 5, "accumulation": 2, "max_examples": None, "max_steps": None} | bounds

    task = {"training": {"teacher": stage(), "predistill": stage(), "distill": stage(max_examples=8, max_unlabelled=5)}}
    beam = {"terms": [{"sequences": "teacher_beam", "loss": "kl"}], "start": "init_student", "training": "distill"}
    truth = {"sequences": "ground_truth", "loss": "nll"}
    methods = {
        "predistill": STAGES["predistill"] | {"terms": [truth], "unlabelled": True},
        "pt_one": beam | {"unlabelled": True, "include_original": True},
        "pt_labelled": beam | {"unlabelled": False, "include_original": False},
    }
    sizes = Sizes.of(task, {"train": 20, "test": 1, "unlabelled": 9}, methods)
    assert sizes.streams == {"pt_one": 3 * (8 + 5 + 8)} and sizes.trained["distill"] == 3 * 8
    assert (sizes.sampled, sizes.unlabelled) == (8, 5)
    costs = COSTS | {"teacher_beam": 2, "pt_one": 1, "pt_labelled": 1}
    jobs = jobs_of("xsum", costs, sizes, methods, 1)
    assert jobs["xsum/teacher_beam"].seconds == 2 * (8 + 5)
    assert (jobs["xsum/pt_one/0"].seconds, jobs["xsum/pt_labelled/0"].seconds) == (63, 24)
    task["training"]["distill"]["max_steps"] = 2
    assert Sizes.of(task, {"train": 20, "test": 1, "unlabelled": 9}, methods).streams == {"pt_one": 20}
