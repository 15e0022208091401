"""The cost of a study, computed from the costs of its stages: the jobs of its DAG on a number of devices.

A job costs the seconds per example times the number of examples. Costs that do not grow with the examples (starting a
program, loading a model) and evaluations during training are left out.
"""

import heapq
import math
from dataclasses import dataclass, field
from typing import Any

from fdistill.artifacts.files import read_json
from fdistill.artifacts.shapes import COUNT
from fdistill.artifacts.systems import INIT_STUDENT
from fdistill.config.unlabelled import learns_from_unlabelled, stated_counts
from fdistill.data.sources import UNLABELLED
from fdistill.losses.sequences import TEACHER_SEQUENCES
from fdistill.runtime.errors import UserError

TRAIN_TEACHER, TEST_SAMPLES, GENERATE, RISK = "finetune_teacher", "test_samples", "generate", "risk"
TEACHER_GENERATE = f"teacher/{GENERATE}"
# What is read of a manifest.json, as `artifacts.shapes` describes it.
MANIFEST = {"splits": {"train": COUNT, "test": COUNT, f"{UNLABELLED}?": COUNT}}


@dataclass(frozen=True)
class Job:
    """Seconds on one device, and the names of the jobs that must finish before it."""

    seconds: float
    after: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Sizes:
    """The numbers of examples that a task's stages process."""

    trained: dict[str, float]  # by training stage, all epochs together
    sampled: int  # training examples that the teacher samples sequences for
    inputs: int  # test inputs
    unlabelled: int = 0  # inputs that the teacher samples sequences for besides
    streams: dict[str, float] = field(default_factory=dict)  # as `trained`, of methods whose epochs are longer

    @classmethod
    def of(cls, task: dict[str, Any], splits: dict[str, int], methods: dict[str, dict[str, Any]]) -> "Sizes":
        """Return the sizes of a task with so many examples in each of its splits, and of its methods' epochs."""

        def used(split: str, stage: str) -> int:
            limit = task["training"][stage].get("max_unlabelled" if split == UNLABELLED else "max_examples")
            return min(splits.get(split, 0), limit or splits.get(split, 0))

        def trained(stage: str, examples: int) -> float:
            settings = task["training"][stage]
            steps = math.inf if settings["max_steps"] is None else settings["max_steps"]
            return min(settings["epochs"] * examples, steps * settings["batch_size"] * settings["accumulation"])

        streams = {}
        for name, method in methods.items():
            stage, labelled = method["training"], used("train", method["training"])
            more = used(UNLABELLED, stage) if learns_from_unlabelled(method) else 0
            more += labelled if method.get("include_original") else 0
            if more:
                streams[name] = trained(stage, labelled + more)
        by_stage = {stage: trained(stage, used("train", stage)) for stage in task["training"]}
        return cls(by_stage, used("train", "distill"), splits["test"], used(UNLABELLED, "distill"), streams)


def jobs_of(
    task: str, costs: dict[str, float], sizes: Sizes, methods: dict[str, dict[str, Any]], seeds: int
) -> dict[str, Job]:
    """Return a task's jobs that run a model, by `task/stage`, `task/method/seed` and `task/method/seed/stage`."""
    train_teacher = f"{task}/{TRAIN_TEACHER}"
    after_teacher = frozenset({train_teacher})
    jobs = {train_teacher: Job(costs[TRAIN_TEACHER] * sizes.trained["teacher"])}
    test_samples = f"{task}/{TEST_SAMPLES}"
    jobs[test_samples] = Job(costs[TEST_SAMPLES] * sizes.inputs, after_teacher)
    jobs[f"{task}/{TEACHER_GENERATE}"] = Job(costs[TEACHER_GENERATE] * sizes.inputs, after_teacher | {test_samples})
    sequences = {term["sequences"] for method in methods.values() for term in method["terms"]}
    of_unlabelled = {
        term["sequences"]
        for method in (methods.values() if sizes.unlabelled else ())
        if learns_from_unlabelled(method)
        for term in method["terms"]
    }
    for kind in sorted(sequences & {*TEACHER_SEQUENCES}):
        inputs = sizes.sampled + (sizes.unlabelled if kind in of_unlabelled else 0)
        jobs[f"{task}/{kind}"] = Job(costs[kind] * inputs, after_teacher)
    for name, method in methods.items():
        stored_kinds = {term["sequences"] for term in method["terms"]} & {*TEACHER_SEQUENCES}
        for seed in range(seeds):
            before = {train_teacher, *(f"{task}/{kind}" for kind in stored_kinds)}
            if method["start"] != INIT_STUDENT:
                before.add(f"{task}/{method['start']}/{seed}")
            train = f"{task}/{name}/{seed}"
            examples = sizes.streams.get(name, sizes.trained[method["training"]])
            jobs[train] = Job(costs[name] * examples, frozenset(before))
            seconds = (costs[GENERATE] + costs[RISK]) * sizes.inputs
            jobs[f"{train}/{GENERATE}"] = Job(seconds, frozenset({train, test_samples}))
    return jobs


def makespan(jobs: dict[str, Job], devices: int) -> float:
    """Return the seconds until all jobs are finished on a number of devices, by list scheduling.

    A free device takes the job that can start and has the longest chain of jobs after it.
    """
    chains = chains_of(jobs)
    waiting, finished, running, time = set(jobs), set(), [], 0.0
    while waiting or running:
        ready = [name for name in waiting if jobs[name].after <= finished]
        ready.sort(key=lambda name: (-chains[name], name))
        for name in ready[: devices - len(running)]:
            heapq.heappush(running, (time + jobs[name].seconds, name))
            waiting.remove(name)
        time, name = heapq.heappop(running)
        finished.add(name)
    return time


def chains_of(jobs: dict[str, Job]) -> dict[str, float]:
    """Return, for each job, the seconds of the longest chain of jobs that starts with it."""
    followers: dict[str, list[str]] = {name: [] for name in jobs}
    for name, job in jobs.items():
        for before in job.after:
            followers[before].append(name)
    chains: dict[str, float] = {}

    def chain(name: str) -> float:
        if name not in chains:
            chains[name] = jobs[name].seconds + max(map(chain, followers[name]), default=0.0)
        return chains[name]

    for name in jobs:
        chain(name)
    return chains


def study_costs(
    costs: dict[str, dict[str, float]],
    tasks: dict[str, dict[str, Any]],
    methods: dict[str, dict[str, Any]],
    examples: list[int],
    seeds: list[int],
    devices: list[int],
) -> list[dict[str, Any]]:
    """Return the seconds of the study for each number of examples and of seeds, on each number of devices.

    Every task has so many training examples, and one test input per 10 of them.
    """
    entries = []
    for size in examples:
        for seed_count in seeds:
            jobs: dict[str, Job] = {}
            for task, settings in tasks.items():
                trained = {stage: training["epochs"] * size for stage, training in settings["training"].items()}
                jobs |= jobs_of(task, costs[task], Sizes(trained, size, size // 10), methods, seed_count)
            entries.append({"examples": size, "seeds": seed_count, "jobs": len(jobs), **on_devices(jobs, devices)})
    return entries


def on_devices(jobs: dict[str, Job], devices: list[int]) -> dict[str, Any]:
    """Return the seconds until all jobs are finished: on each number of devices, and on unlimited devices."""
    seconds = {str(count): makespan(jobs, count) for count in devices}
    return {"seconds": seconds, "longest_chain": max(chains_of(jobs).values())}


def plan(
    costs: dict[str, dict[str, float]],
    tasks: dict[str, dict[str, Any]],
    counts: dict[str, dict[str, int]],
    methods: dict[str, dict[str, Any]],
    seeds: int,
    devices: list[int],
) -> dict[str, Any]:
    """Return the device seconds of the study at its own sizes, by stage and task, and in total.

    `counts` are the numbers of examples by task and split. A stage is a rule of the workflow; training is listed by
    method, the offline stages for all methods together.
    """
    jobs: dict[str, Job] = {}
    for task, splits in counts.items():
        sizes = Sizes.of(tasks[task], splits, methods)
        jobs |= jobs_of(task, costs[task], sizes, methods, seeds)
    stages: dict[str, dict[str, float]] = {}
    for name, job in jobs.items():
        task, *parts = name.split("/")
        stage = GENERATE if parts[-1] == GENERATE else parts[0]
        by_task = stages.setdefault(stage, dict.fromkeys(counts, 0.0))
        by_task[task] += job.seconds
    return {"counts": counts, "seeds": seeds, "stages": stages, "jobs": len(jobs), **on_devices(jobs, devices)}


def example_counts(tasks: dict[str, dict[str, Any]], manifests: dict[str, str]) -> dict[str, dict[str, int]]:
    """Return the number of examples by task and split: a source's `expected_counts`, or those in the task's manifest.

    `manifests` are the paths of the files that prepare.py wrote, by task. Raises UserError when a task has neither, and
    when one with unlabelled inputs, which `expected_counts` does not count, has no manifest.
    """
    counts = {}
    for name, task in tasks.items():
        expected = stated_counts(task)
        if expected is None and name not in manifests:
            raise UserError(f"--manifests: {name} is missing, whose source does not state all counts; add {name}=PATH")
        counts[name] = expected or read_json(manifests[name], MANIFEST)["splits"]
    return counts
