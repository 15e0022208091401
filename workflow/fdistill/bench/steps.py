"""The distillation step of this project beside baselines: on the same weights and examples, in turn."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fdistill.bench import plain
from fdistill.bench.caches import Stored, stored
from fdistill.bench.clock import Clock, now, peak_memory
from fdistill.bench.with_trl import TrlStep, missing
from fdistill.bench.workload import Workload
from fdistill.losses.objectives import Objective
from fdistill.losses.sequences import STUDENT_SAMPLES, TEACHER_SAMPLES
from fdistill.runtime.errors import UserError
from fdistill.sampling.cache_kinds import STATES, TOPK
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training import step_parts
from fdistill.training.micro_batches import MicroBatch, TrainingData, micro_batch
from fdistill.training.settings import TrainingSettings
from fdistill.training.trainer import Trainer

if TYPE_CHECKING:
    from fdistill.bench.encoders import EncoderSteps

OURS, PLAIN, TRL = "ours", "plain", "trl"
CACHED = {kind: f"{OURS}, teacher_cache: {kind}" for kind in (STATES, TOPK)}  # ours, reading a teacher cache
REST = "rest"  # the part of a step that is in none of `step_parts.PARTS`
ON_POLICY = "on_policy_js"  # TRL's method: generalised JS, β = ½, on the student's samples only
ON_POLICY_TERMS = [{"sequences": STUDENT_SAMPLES, "loss": "generalised_js", "parameters": {"beta": 0.5}}]
METHODS = ("js", "tvd")  # the methods of the configuration that the plain recipe implements
Terms = list[dict[str, Any]]


def check_methods(methods: dict[str, Terms]) -> None:
    """Raise UserError for a method that the plain recipe does not implement."""
    unknown = sorted(set(methods) - set(METHODS))
    if unknown:
        raise UserError(
            f"--methods: the plain recipe implements {' and '.join(METHODS)}, not {', '.join(unknown)}; remove it"
        )


def with_on_policy(methods: dict[str, Terms]) -> dict[str, Terms]:
    """Return the methods and `ON_POLICY`, the method of the baselines that learn from the student's samples only."""
    return methods | {ON_POLICY: ON_POLICY_TERMS}


def compare(
    workload: Workload,
    method: str,
    terms: Terms,
    settings: TrainingSettings,
    repeats: int,
    seed: int,
    top_k: int | None = None,
) -> dict[str, Any]:
    """Measure the cost of each implementation's step, and their losses on the same samples.

    A repeat is a step of each on the same batch with the same weights, and another step of each in which the parts are
    timed: timing them waits for the GPU at the end of each part, which would slow the first step down. With `top_k`,
    this project's step is also measured with each kind of `teacher_cache`, if the method reads it; `topk` then stores
    that number of tokens. The time to write the cache is not part of a step.
    """
    with nullcontext({}) if top_k is None else stored(workload, terms, settings, top_k) as caches:
        measured = measure(Steps(workload, method, terms, settings, seed, caches), repeats)
    reasons = {TRL: missing(workload)} if method == ON_POLICY and missing(workload) else {}
    return {**measured, "missing": reasons, "caches": {CACHED[kind]: cache.cost for kind, cache in caches.items()}}


def measure(steps: "Steps | EncoderSteps", repeats: int) -> dict[str, Any]:
    """Return the costs and the losses of several steps, by name, which run in turn on the same batches.

    `compare` says what a repeat is.
    """
    device, names = steps.workload.student.device, list(steps.by_name)
    times: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    stream = steps.trainer.batches()
    for repeat in range(repeats + 1):
        (batch,) = next(stream)
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            start = steps.reset(name)
            tokens = steps.run(name, batch)
            entry = {"seconds": now(device) - start, "tokens": tokens}
            clock = Clock(device)
            steps.reset(name)
            with step_parts.observed_by(clock.part), clock.part(REST):
                steps.run(name, batch)
            if repeat:  # the first one only warms up
                times[name].append(entry | {"parts": dict(clock.seconds)})
    summaries = {name: _summary(times[name]) for name in names}
    for name in names:
        steps.reset(name)
        summaries[name]["peak_memory_bytes"] = peak_memory(lambda name=name: steps.run(name, batch), device)
        ratios = [entry["seconds"] / ours["seconds"] for entry, ours in zip(times[name], times[OURS], strict=True)]
        summaries[name]["times_ours"] = spread(ratios)
    return {"steps": summaries, "losses": steps.losses(batch)}


class Steps:
    """The steps of all implementations, by name; each takes a batch and returns its number of target tokens."""

    def __init__(
        self,
        workload: Workload,
        method: str,
        terms: Terms,
        settings: TrainingSettings,
        seed: int,
        caches: dict[str, Stored] | None = None,
    ):
        self.workload, self.method, self.settings, self.seed = workload, method, settings, seed
        self.module, self.teacher = workload.student.module, workload.teacher.module
        self.weights = {name: value.clone() for name, value in self.module.state_dict().items()}
        objective, sampling = Objective.from_config(terms), SamplingConfig(workload.max_target_tokens)
        models = (workload.student, workload.teacher)
        self.trainer = Trainer(*models, objective, workload.data, settings, sampling, seed)
        self.optimizer = torch.optim.AdamW(
            self.trainer.trainable, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.by_name: dict[str, Callable[[MicroBatch], int]] = {
            OURS: partial(self._ours, workload.data),
            PLAIN: self._plain,
        }
        self.trainer.learner.cached = (TEACHER_SAMPLES,)  # of the micro-batches that bring their distributions
        self.cached = {CACHED[kind]: cache.data for kind, cache in (caches or {}).items()}
        self.by_name |= {name: partial(self._ours, data) for name, data in self.cached.items()}
        if method == ON_POLICY and not missing(workload):
            self.trl = TrlStep(workload, settings, bf16=self.trainer.learner.autocast._enabled)
            self.by_name[TRL] = lambda batch: self.trl.step(batch.rows)

    def reset(self, name: str) -> float:
        """Restore the weights and the seed; return the time."""
        (self.trl.student if name == TRL else self.module).load_state_dict(self.weights)
        torch.manual_seed(self.seed)
        return now(self.workload.student.device)

    def run(self, name: str, batch: MicroBatch) -> int:
        """Run one step; return its number of target tokens."""
        with without_determinism(name in (PLAIN, TRL)):
            return self.by_name[name](batch)

    def _ours(self, data: TrainingData, batch: MicroBatch) -> int:
        self.trainer.step([self._with_data(data, batch)])
        return self.trainer.learner.tokens

    def _with_data(self, data: TrainingData, batch: MicroBatch) -> MicroBatch:
        """Return the same rows as a new micro-batch of `data`, which may have a teacher cache."""
        return micro_batch(data, batch.rows, 0, self.trainer.learner.objective.sequences, self.workload.student)

    def _plain(self, batch: MicroBatch) -> int:
        return plain.step(
            self.method,
            self.module,
            self.teacher,
            self.optimizer,
            batch.source.input_ids,
            batch.source.attention_mask,
            batch.labels.get(TEACHER_SAMPLES),
            self.workload.max_target_tokens,
            self.settings.max_grad_norm,
            self.trainer.learner.autocast,
        )

    def losses(self, batch: MicroBatch) -> dict[str, float]:
        """Return each implementation's loss on the same samples, made by this project's sampler, without dropout."""
        for name in self.by_name:
            self.reset(name)
        sampled = self._with_data(self.workload.data, batch)
        counts = self.trainer.learner.sample_and_count(sampled, 0)
        self.module.eval()
        with torch.no_grad():
            losses = {OURS: self.trainer.learner.loss(sampled, counts).item(), PLAIN: self.plain_loss(sampled).item()}
            for name, data in self.cached.items():
                with_cache = replace(
                    sampled, cached_distributions=[data.cached_distributions(row, 0) for row in sampled.rows]
                )
                losses[name] = self.trainer.learner.loss(with_cache, counts).item()
        if TRL in self.by_name:
            losses[TRL] = self.trl.loss(sampled.source, sampled.labels[STUDENT_SAMPLES])
        return losses

    def plain_loss(self, batch: MicroBatch) -> Tensor:
        """Return the plain recipe's loss on the samples in `batch`, a scalar."""
        ids, mask = batch.source.input_ids, batch.source.attention_mask
        samples = {kind.removesuffix("_samples"): labels for kind, labels in batch.labels.items()}
        with self.trainer.learner.autocast:
            return plain.loss(self.method, self.module, self.teacher, ids, mask, samples)


@contextmanager
def without_determinism(enabled: bool) -> Iterator[None]:
    """If `enabled`, let torch use nondeterministic algorithms inside this context, as the baselines do by default."""
    mode = torch.get_deterministic_debug_mode()
    if enabled:
        torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)


def _summary(times: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians over the repeats, and for the seconds of the whole step their spread."""
    return {
        "seconds": spread([entry["seconds"] for entry in times]),
        "parts": {
            name: statistics.median(entry["parts"].get(name, 0.0) for entry in times)
            for name in (*step_parts.PARTS, REST)
        },
        "tokens_per_second": statistics.median(entry["tokens"] / entry["seconds"] for entry in times),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return the median, the least and the greatest of the values."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
