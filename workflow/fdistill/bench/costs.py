"""The cost of each stage of the workflow per example, measured with random weights in a task's shapes."""

import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from fdistill.bench.clock import now
from fdistill.bench.steps import Terms
from fdistill.bench.study import GENERATE, RISK, TEACHER_GENERATE, TEST_SAMPLES, TRAIN_TEACHER
from fdistill.bench.workload import AS_IN_TEXT, Workload
from fdistill.data.limits import Limits
from fdistill.evaluation.risks import risks
from fdistill.losses.objectives import Objective
from fdistill.losses.sequences import GROUND_TRUTH, TEACHER_SEQUENCES
from fdistill.models.language_model import LanguageModel
from fdistill.sampling.batch_sizes import MAX_ROWS, offline_batch_size
from fdistill.sampling.offline import generate_texts, sample_sequences
from fdistill.sampling.sampler import ANCESTRAL, SamplingConfig
from fdistill.training.settings import TrainingSettings
from fdistill.training.trainer import Trainer

# It knows no token: the time of a tokenizer is negligible beside the model's.
_NO_TOKENIZER = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE()))


def stage_costs(
    task: dict[str, Any],
    methods: dict[str, dict[str, Any]],
    repeats: int,
    seed: int,
    device: str,
    gpu_memory: int | None = None,
) -> dict[str, float]:
    """Return the seconds of each stage: per example and epoch for training, per input for the others.

    The offline stages run as their rules run them, on a few inputs, in batches of the task's size or as large as
    memory allows.
    """
    limits = Limits(**task["text"])
    largest = max(section["batch_size"] for section in task["training"].values())
    workload = Workload.random(task["model"], limits, largest, AS_IN_TEXT, seed, device)
    teacher, student, longest = workload.teacher, workload.student, workload.max_target_tokens
    train = workload.data.train
    ids, sources, targets = (column[:MAX_ROWS] for column in (train.ids, train.sources, train.targets))

    def training(stage: str, terms: Terms, model: LanguageModel) -> float:
        # Without LoRA: the costs are those of training all weights.
        given = {key: value for key, value in task["training"][stage].items() if key != "lora"}
        settings = replace(TrainingSettings(**given), accumulation=1)
        objective = Objective.from_config(terms)
        trainer = Trainer(model, teacher, objective, workload.data, settings, SamplingConfig(longest), seed)
        stream = trainer.batches()
        return _median(lambda: trainer.step(next(stream)), repeats, model) / settings.batch_size

    def seconds_per_input(run: Callable[[], Any], model: LanguageModel) -> float:
        return _median(run, repeats, model) / len(sources)

    def sampling_run(model: LanguageModel, settings: dict[str, Any]) -> Callable[[], dict[str, list]]:
        settings = dict(settings)
        per_input, size, engine = (settings.pop(key) for key in ("per_input", "batch_size", "engine"))
        sampling = SamplingConfig.from_settings(settings, longest, per_input)
        beams = sampling.options.get("num_beams", 1)
        rows = offline_batch_size(size, [model], engine, beams, sampling.max_new_tokens, gpu_memory)
        return lambda: sample_sequences(model, ids, sources, sampling, per_input, rows, seed, engine=engine)

    def generation(model: LanguageModel) -> float:
        settings = dict(task["decoding"])
        size, engine = settings.pop("batch_size"), settings.pop("engine")
        beams, longest = settings["num_beams"], settings["max_new_tokens"]
        rows = offline_batch_size(size, [model], engine, beams, longest, gpu_memory)

        def generate() -> dict[str, list]:
            return generate_texts(model, _NO_TOKENIZER, sources, settings, rows, seed, engine=engine)

        return seconds_per_input(generate, model)

    def steps_of(method: dict[str, Any]) -> float:
        """Return the mean over the steps of a run, which a schedule lets learn from different sequences."""
        objective = Objective.of_method(method)
        share = objective.schedule.mean_share if objective.schedule else 1.0
        costs = 0.0
        for of_student, part in ((True, share), (False, 1 - share)):
            if part:
                kinds = objective.kinds(of_student)
                terms = [term for term in method["terms"] if term["sequences"] in kinds]
                costs += part * training(method["training"], terms, student)
        return costs

    nll = [{"sequences": GROUND_TRUTH, "loss": "nll"}]
    costs = {TRAIN_TEACHER: training("teacher", nll, teacher)}  # first: later its weights are frozen
    for name, method in methods.items():
        costs[name] = steps_of(method)
    for kind in TEACHER_SEQUENCES:
        costs[kind] = seconds_per_input(sampling_run(teacher, task[kind]), teacher)
    risk = {"mode": ANCESTRAL, "per_input": 1, **{key: task["risk"][key] for key in ("batch_size", "engine")}}
    costs[TEST_SAMPLES] = task["risk"]["teacher_samples"] * seconds_per_input(sampling_run(teacher, risk), teacher)
    costs[TEACHER_GENERATE], costs[GENERATE] = generation(teacher), generation(student)
    sample_student = sampling_run(student, risk)
    rows = offline_batch_size(risk["batch_size"], [student, teacher], risk["engine"], 1, longest, gpu_memory)

    def measure_risks() -> dict[str, Any]:
        return risks(student, teacher, sources, sample_student()["tokens"], targets, rows)

    costs[RISK] = seconds_per_input(measure_risks, student)
    return costs


def _median(run: Callable[[], Any], repeats: int, model: LanguageModel) -> float:
    """Return the median seconds of `repeats` runs, after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        start = now(model.device)
        run()
        times.append(now(model.device) - start)
    return statistics.median(times[1:])
