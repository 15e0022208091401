"""What a study costs as it grows: a step's cost measured at several sizes, and the study's computed from its stages'.

A stage's cost is that of its batches times their number; what does not grow with the examples (starting a program,
reading a model) is left out, and so is evaluation amid training.
"""

import heapq
import statistics
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from fdistill.bench.clock import now
from fdistill.bench.steps import Terms, compare
from fdistill.bench.work import AS_IN_TEXT, FULL, Work
from fdistill.config.model_checks import SCRATCH
from fdistill.data.batches import Limits, label_batch, source_batch
from fdistill.models.language_model import LanguageModel
from fdistill.objectives import GROUND_TRUTH, TEACHER_SEQUENCES, Objective
from fdistill.sampling import Drawing, draw, sequence_log_probs
from fdistill.training import Trainer, TrainingSettings

# --- a step


def grown_steps(task: dict[str, Any], terms: Terms, repeats: int, seed: int, device: str) -> list[dict[str, Any]]:
    """A JS step on full texts, as one of its sizes grows and the others stay as the task has them."""
    limits = Limits(**task["text"])
    settings = replace(TrainingSettings(**task["training"]["distill"]), accumulation=1)
    model = task["model"]
    sizes: list[tuple[str, int, dict[str, Any], Limits, TrainingSettings]] = []
    for share in (4, 2, 1):
        length, batch = limits.max_target_tokens // share, settings.batch_size // share
        sizes.append(("target length", length, model, replace(limits, max_target_tokens=length), settings))
        sizes.append(("batch", batch, model, limits, replace(settings, batch_size=batch)))
    if model["teacher"]["init"] == SCRATCH:  # a checkpoint's is what it is
        for times in (1, 4, 16):
            larger = deepcopy(model)
            larger["teacher"]["vocab_size"] *= times
            sizes.append(("vocabulary", larger["teacher"]["vocab_size"], larger, limits, settings))
    found = []
    for what, size, *made in sorted(sizes, key=lambda each: each[:2]):
        work = Work.of(made[0], made[1], made[2].batch_size, FULL, seed, device)
        found.append({"what": what, "size": size, **compare(work, "js", terms, made[2], repeats, seed)})
    return found


# --- a study

TRAIN_TEACHER, RISK, GENERATE = "finetune_teacher", "risk", "generate"


def stage_costs(
    task: dict[str, Any], methods: dict[str, dict[str, Any]], repeats: int, seed: int, device: str
) -> dict[str, float]:
    """Seconds per example and epoch of training, per input of the other stages."""
    limits = Limits(**task["text"])
    largest = max(section["batch_size"] for section in (*task["training"].values(), *_inference(task)))
    work = Work.of(task["model"], limits, largest, AS_IN_TEXT, seed, device)
    teacher, student, longest = work.teacher, work.student, work.longest

    def training(stage: str, terms: Terms, model: LanguageModel) -> float:
        settings = replace(TrainingSettings(**task["training"][stage]), accumulation=1)
        objective = Objective.from_config(terms)
        trainer = Trainer(model, teacher, objective, work.data, settings, Drawing(longest), seed)
        stream = trainer.batches()
        return _median(lambda: trainer.step(next(stream)), repeats, model) / settings.batch_size

    def inference(batch_size: int, of_batch: Callable[[Any], Any], model: LanguageModel) -> float:
        source = source_batch(model, work.data.train.sources[:batch_size])
        return _median(lambda: of_batch(source), repeats, model) / batch_size

    nll = [{"sequences": GROUND_TRUTH, "loss": "nll"}]
    costs = {TRAIN_TEACHER: training("teacher", nll, teacher)}  # before it is made a teacher, which does not learn
    for name, method in methods.items():
        costs[name] = training(method["training"], method["terms"], student)
    for kind in TEACHER_SEQUENCES:
        settings = dict(task[kind])
        per_input, size = settings.pop("per_input"), settings.pop("batch_size")
        drawing = Drawing.from_settings(settings, longest)
        costs[kind] = per_input * inference(size, lambda source, d=drawing: draw(teacher, source, d, (seed,)), teacher)
    beam = Drawing(longest, "beam", {"num_beams": task["decoding"]["num_beams"]})
    costs[GENERATE] = inference(task["decoding"]["batch_size"], lambda s: draw(student, s, beam, (seed,)), student)
    labels = label_batch(work.data.train.targets[: task["risk"]["batch_size"]], device)

    def risk(source: Any) -> None:
        draw(student, source, Drawing(longest), (seed,))
        for judge in (teacher, student):
            sequence_log_probs(judge, source, labels)

    costs[RISK] = inference(task["risk"]["batch_size"], risk, student)
    return costs


def _inference(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (task[name] for name in (*TEACHER_SEQUENCES, "decoding", "risk"))


def _median(work: Callable[[], Any], repeats: int, model: LanguageModel) -> float:
    """Seconds; the first run, which warms up, does not count."""
    times = []
    for _ in range(repeats + 1):
        began = now(model.device)
        work()
        times.append(now(model.device) - began)
    return statistics.median(times[1:])


@dataclass(frozen=True)
class Job:
    """Seconds on one device, and the names of the jobs before it."""

    seconds: float
    after: frozenset[str] = frozenset()


def jobs_of(
    task: str,
    costs: dict[str, float],
    epochs: dict[str, float],
    methods: dict[str, dict[str, Any]],
    seeds: int,
    examples: int,
    inputs: int,
) -> dict[str, Job]:
    """Those of the workflow's DAG that run a model: for so many training examples, test inputs and seeds."""
    first = f"{task}/{TRAIN_TEACHER}"
    jobs = {first: Job(costs[TRAIN_TEACHER] * epochs["teacher"] * examples)}
    learnt = {term["sequences"] for method in methods.values() for term in method["terms"]}
    for kind in learnt & {*TEACHER_SEQUENCES}:
        jobs[f"{task}/{kind}"] = Job(costs[kind] * examples, frozenset({first}))
    for name, method in methods.items():
        stored = {term["sequences"] for term in method["terms"]} & {*TEACHER_SEQUENCES}
        for seed in range(seeds):
            before = {first, *(f"{task}/{kind}" for kind in stored)}
            if method["start"] == "predistill":
                before.add(f"{task}/predistill/{seed}")
            trained = f"{task}/{name}/{seed}"
            jobs[trained] = Job(costs[name] * epochs[method["training"]] * examples, frozenset(before))
            for stage in (GENERATE, RISK):
                jobs[f"{trained}/{stage}"] = Job(costs[stage] * inputs, frozenset({trained}))
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
                epochs = {stage: training["epochs"] for stage, training in settings["training"].items()}
                jobs |= jobs_of(task, costs[task], epochs, methods, number, size, size // 10)
            found.append(
                {
                    "examples": size,
                    "seeds": number,
                    "jobs": len(jobs),
                    "seconds": {str(count): makespan(jobs, count) for count in devices},
                    "longest_chain": max(chains_of(jobs).values()),
                }
            )
    return found
