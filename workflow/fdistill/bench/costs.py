"""What each stage of the workflow costs, per example: measured on random weights in a task's shapes."""

import statistics
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from fdistill.bench.clock import now
from fdistill.bench.steps import Terms
from fdistill.bench.study import GENERATE, RISK, TEACHER_GENERATE, TEST_SAMPLES, TRAIN_TEACHER
from fdistill.bench.work import AS_IN_TEXT, Work
from fdistill.data.encoding import Limits
from fdistill.evaluation.risks import risks
from fdistill.losses.objectives import GROUND_TRUTH, TEACHER_SEQUENCES, Objective
from fdistill.models.language_model import LanguageModel
from fdistill.sampling.batch_sizes import MAX_ROWS, offline_batch_size
from fdistill.sampling.offline import generate_texts, sample_sequences
from fdistill.sampling.sampler import ANCESTRAL, SamplingConfig
from fdistill.training.settings import TrainingSettings
from fdistill.training.trainer import Trainer

_NO_WORDS = SimpleNamespace(batch_decode=lambda tokens, **_: [""] * len(tokens))  # a tokenizer takes no time beside


def stage_costs(
    task: dict[str, Any],
    methods: dict[str, dict[str, Any]],
    repeats: int,
    seed: int,
    device: str,
    gpu_memory: int | None = None,
) -> dict[str, float]:
    """Seconds per example and epoch of training, per input of the other stages.

    Off-line work as its rules do it: some inputs, in batches of the task's size or as large as memory allows.
    """
    limits = Limits(**task["text"])
    largest = max(section["batch_size"] for section in task["training"].values())
    work = Work.of(task["model"], limits, largest, AS_IN_TEXT, seed, device)
    teacher, student, longest = work.teacher, work.student, work.longest
    ids, sources, targets = (
        rows[:MAX_ROWS] for rows in (work.data.train.ids, work.data.train.sources, work.data.train.targets)
    )

    def training(stage: str, terms: Terms, model: LanguageModel) -> float:
        settings = replace(TrainingSettings(**task["training"][stage]), accumulation=1)
        objective = Objective.from_config(terms)
        trainer = Trainer(model, teacher, objective, work.data, settings, SamplingConfig(longest), seed)
        stream = trainer.batches()
        return _median(lambda: trainer.step(next(stream)), repeats, model) / settings.batch_size

    def per_input(run: Callable[[], Any], model: LanguageModel) -> float:
        return _median(run, repeats, model) / len(sources)

    def sampled(model: LanguageModel, settings: dict[str, Any]) -> Callable[[], dict[str, list]]:
        settings = dict(settings)
        repeated, size, engine = (settings.pop(key) for key in ("per_input", "batch_size", "engine"))
        sampling = SamplingConfig.from_settings(settings, longest)
        beams = sampling.options.get("num_beams", 1)
        rows = offline_batch_size(size, [model], engine, beams, sampling.max_new_tokens, gpu_memory)
        return lambda: sample_sequences(model, ids, sources, sampling, repeated, rows, seed, engine=engine)

    def generated(model: LanguageModel) -> float:
        settings = dict(task["decoding"])
        size, engine = settings.pop("batch_size"), settings.pop("engine")
        beams, longest = settings["num_beams"], settings["max_new_tokens"]
        rows = offline_batch_size(size, [model], engine, beams, longest, gpu_memory)
        return per_input(lambda: generate_texts(model, _NO_WORDS, sources, settings, rows, seed, engine=engine), model)

    nll = [{"sequences": GROUND_TRUTH, "loss": "nll"}]
    costs = {TRAIN_TEACHER: training("teacher", nll, teacher)}  # before it is made a teacher, which does not learn
    for name, method in methods.items():
        costs[name] = training(method["training"], method["terms"], student)
    for kind in TEACHER_SEQUENCES:
        costs[kind] = per_input(sampled(teacher, task[kind]), teacher)
    risk = {"mode": ANCESTRAL, "per_input": 1, **{key: task["risk"][key] for key in ("batch_size", "engine")}}
    costs[TEST_SAMPLES] = task["risk"]["teacher_samples"] * per_input(sampled(teacher, risk), teacher)
    costs[TEACHER_GENERATE], costs[GENERATE] = generated(teacher), generated(student)
    of_student = sampled(student, risk)
    rows = offline_batch_size(risk["batch_size"], [student, teacher], risk["engine"], 1, longest, gpu_memory)
    costs[RISK] = per_input(lambda: risks(student, teacher, sources, of_student()["tokens"], targets, rows), student)
    return costs


def _median(work: Callable[[], Any], repeats: int, model: LanguageModel) -> float:
    """Seconds; the first run, which warms up, does not count."""
    times = []
    for _ in range(repeats + 1):
        began = now(model.device)
        work()
        times.append(now(model.device) - began)
    return statistics.median(times[1:])
