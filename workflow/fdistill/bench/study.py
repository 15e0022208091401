"""What a study costs, computed from what its stages do: the jobs of its DAG, on as many devices as there are.

A job's cost is that of an example times their number; what does not grow with them (starting a program, reading a
model) is left out, and so is evaluation amid training.
"""

import heapq
from dataclasses import dataclass
from typing import Any

from fdistill.losses.objectives import TEACHER_SEQUENCES

TRAIN_TEACHER, TEST_SAMPLES, GENERATE, RISK = "finetune_teacher", "test_samples", "generate", "risk"
TEACHER_GENERATE = f"teacher/{GENERATE}"


@dataclass(frozen=True)
class Job:
    """Seconds on one device, and the names of the jobs before it."""

    seconds: float
    after: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Sizes:
    """How much a task has of what the stages work on."""

    learnt: dict[str, float]  # examples, all epochs together, by stage of training
    sampled: int  # examples that the teacher samples for
    inputs: int  # of the test split

    @classmethod
    def of(cls, task: dict[str, Any], train: int, test: int) -> "Sizes":
        """Of a task with so many examples."""

        def used(stage: str) -> int:
            return min(train, task["training"][stage]["max_examples"] or train)

        learnt = {}
        for stage, settings in task["training"].items():
            learnt[stage] = settings["epochs"] * used(stage)
            if settings["max_steps"] is not None:
                effective = settings["batch_size"] * settings["accumulation"]
                learnt[stage] = min(learnt[stage], settings["max_steps"] * effective)
        return cls(learnt, used("distill"), test)


def jobs_of(
    task: str, costs: dict[str, float], sizes: Sizes, methods: dict[str, dict[str, Any]], seeds: int
) -> dict[str, Job]:
    """The workflow's that run a model, by `task/stage`, `task/method/seed` and `task/method/seed/stage`."""
    first = f"{task}/{TRAIN_TEACHER}"
    made = frozenset({first})
    jobs = {first: Job(costs[TRAIN_TEACHER] * sizes.learnt["teacher"])}
    jobs[f"{task}/{TEST_SAMPLES}"] = Job(costs[TEST_SAMPLES] * sizes.inputs, made)
    jobs[f"{task}/{TEACHER_GENERATE}"] = Job(costs[TEACHER_GENERATE] * sizes.inputs, made)
    read = {term["sequences"] for method in methods.values() for term in method["terms"]}
    for kind in sorted(read & {*TEACHER_SEQUENCES}):
        jobs[f"{task}/{kind}"] = Job(costs[kind] * sizes.sampled, made)
    for name, method in methods.items():
        stored = {term["sequences"] for term in method["terms"]} & {*TEACHER_SEQUENCES}
        for seed in range(seeds):
            before = {first, *(f"{task}/{kind}" for kind in stored)}
            if method["start"] == "predistill":
                before.add(f"{task}/predistill/{seed}")
            trained = f"{task}/{name}/{seed}"
            jobs[trained] = Job(costs[name] * sizes.learnt[method["training"]], frozenset(before))
            jobs[f"{trained}/{GENERATE}"] = Job(costs[GENERATE] * sizes.inputs, frozenset({trained}))
            after = frozenset({trained, f"{task}/{TEST_SAMPLES}"})
            jobs[f"{trained}/{RISK}"] = Job(costs[RISK] * sizes.inputs, after)
    return jobs


def makespan(jobs: dict[str, Job], devices: int) -> float:
    """Seconds until all is done when whatever device is free takes, of the jobs that can begin, the one on which the
    longest chain of others waits (list scheduling).
    """
    chains = chains_of(jobs)
    waiting, done, running, time = set(jobs), set(), [], 0.0
    while waiting or running:
        ready = sorted((name for name in waiting if jobs[name].after <= done), key=lambda name: (-chains[name], name))
        for name in ready[: devices - len(running)]:
            heapq.heappush(running, (time + jobs[name].seconds, name))
            waiting.remove(name)
        time, ended = heapq.heappop(running)
        done.add(ended)
    return time


def chains_of(jobs: dict[str, Job]) -> dict[str, float]:
    """Seconds from each job's beginning to the end of the longest chain that begins with it."""
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
    """Seconds of the whole study for each size, on each number of devices; tasks have a test input per 10 examples."""
    found = []
    for size in examples:
        for number in seeds:
            jobs: dict[str, Job] = {}
            for task, settings in tasks.items():
                learnt = {stage: training["epochs"] * size for stage, training in settings["training"].items()}
                jobs |= jobs_of(task, costs[task], Sizes(learnt, size, size // 10), methods, number)
            found.append({"examples": size, "seeds": number, "jobs": len(jobs), **on_devices(jobs, devices)})
    return found


def on_devices(jobs: dict[str, Job], devices: list[int]) -> dict[str, Any]:
    """Seconds until all is done, on each number of devices, and on any."""
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
    """The study at its own sizes, `counts` of examples by task and split: device seconds by stage and task; in all.

    A stage is one of the workflow's rules; training is by method, and off-line stages are of all methods together.
    """
    jobs: dict[str, Job] = {}
    for task, of_task in counts.items():
        sizes = Sizes.of(tasks[task], of_task["train"], of_task["test"])
        jobs |= jobs_of(task, costs[task], sizes, methods, seeds)
    stages: dict[str, dict[str, float]] = {}
    for name, job in jobs.items():
        task, *parts = name.split("/")
        stage = parts[-1] if parts[-1] in (GENERATE, RISK) else parts[0]
        of_stage = stages.setdefault(stage, dict.fromkeys(counts, 0.0))
        of_stage[task] += job.seconds
    return {"counts": counts, "seeds": seeds, "stages": stages, "jobs": len(jobs), **on_devices(jobs, devices)}
