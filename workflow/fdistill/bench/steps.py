"""The distillation step, ours beside its opponents: on the same weights and examples, in turn."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fdistill.bench import plain
from fdistill.bench.caches import Stored, stored
from fdistill.bench.clock import Clock, now, peak_memory
from fdistill.bench.with_trl import TrlStep, missing
from fdistill.bench.work import Work
from fdistill.losses.objectives import STUDENT_SAMPLES, Objective
from fdistill.runtime.errors import UserError
from fdistill.sampling.sampler import SamplingConfig
from fdistill.sampling.teacher_cache import STATES, TOPK
from fdistill.training import step_parts
from fdistill.training.micro_batches import MicroBatch, TrainingData
from fdistill.training.settings import TrainingSettings
from fdistill.training.trainer import Trainer

OURS, PLAIN, TRL = "ours", "plain", "trl"
CACHED = {kind: f"{OURS}, teacher_cache: {kind}" for kind in (STATES, TOPK)}  # ours, reading what is stored
REST = "rest"
ON_POLICY = "on_policy_js"  # TRL's method: generalised JS, β = ½, on the student's samples alone
ON_POLICY_TERMS = [{"sequences": STUDENT_SAMPLES, "loss": "generalised_js", "parameters": {"beta": 0.5}}]
METHODS = ("js", "tvd")  # of those in the configuration, what the plain recipe knows
Terms = list[dict[str, Any]]


def check_methods(methods: dict[str, Terms]) -> None:
    """UserError for one that the plain recipe does not know."""
    unknown = sorted(set(methods) - set(METHODS))
    if unknown:
        raise UserError(f"--methods: the plain recipe knows {' and '.join(METHODS)}, not {', '.join(unknown)}")


def with_on_policy(methods: dict[str, Terms]) -> dict[str, Terms]:
    """The methods and, for those opponents that learn from the student's samples alone, theirs."""
    return methods | {ON_POLICY: ON_POLICY_TERMS}


def compare(
    work: Work,
    method: str,
    terms: Terms,
    settings: TrainingSettings,
    repeats: int,
    seed: int,
    top_k: int | None = None,
) -> dict[str, Any]:
    """What a step of each costs, and the losses of the same samples.

    A repeat is a step of each on the same batch, with the same weights, and one more of each with its parts timed: at
    their ends a GPU is waited for, which would slow the first one down. With `top_k`, ours is measured with each kind
    of `teacher_cache`, too, if the method reads it: `top_k` tokens are kept. To make the cache is no part of a step.
    """
    with nullcontext({}) if top_k is None else stored(work, terms, settings, top_k) as caches:
        found = _compared(Steps(work, method, terms, settings, seed, caches), repeats)
    reasons = {TRL: missing(work)} if method == ON_POLICY and missing(work) else {}
    return {**found, "missing": reasons, "caches": {CACHED[kind]: each.cost for kind, each in caches.items()}}


def _compared(steps: "Steps", repeats: int) -> dict[str, Any]:
    """What `compare` measures."""
    device, names = steps.work.student.device, list(steps.by_name)
    times: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    stream = steps.trainer.batches()
    for repeat in range(repeats + 1):
        (batch,) = next(stream)
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            began = steps.ready(name)
            tokens = steps.run(name, batch)
            found = {"seconds": now(device) - began, "tokens": tokens}
            clock = Clock(device)
            steps.ready(name)
            with step_parts.observed_by(clock.part), clock.part(REST):
                steps.run(name, batch)
            if repeat:  # the first warms up
                times[name].append(found | {"parts": dict(clock.seconds)})
    found = {name: _summary(times[name]) for name in names}
    for name in names:
        steps.ready(name)
        found[name]["peak_memory_bytes"] = peak_memory(lambda name=name: steps.run(name, batch), device)
        ratios = [other["seconds"] / mine["seconds"] for other, mine in zip(times[name], times[OURS], strict=True)]
        found[name]["times_ours"] = _spread(ratios)
    return {"steps": found, "losses": steps.losses(batch)}


class Steps:
    """The steps by name, each of a batch and giving its number of target tokens."""

    def __init__(
        self,
        work: Work,
        method: str,
        terms: Terms,
        settings: TrainingSettings,
        seed: int,
        caches: dict[str, Stored] | None = None,
    ):
        self.work, self.method, self.settings, self.seed = work, method, settings, seed
        self.module, self.teacher = work.student.module, work.teacher.module
        self.weights = {name: value.clone() for name, value in self.module.state_dict().items()}
        objective, sampling = Objective.from_config(terms), SamplingConfig(work.longest)
        self.trainer = Trainer(work.student, work.teacher, objective, work.data, settings, sampling, seed)
        self.optimizer = torch.optim.AdamW(
            self.trainer.trainable, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.by_name: dict[str, Callable[[MicroBatch], int]] = {
            OURS: partial(self._ours, work.data),
            PLAIN: self._plain,
        }
        self.cached = {CACHED[kind]: each.data for kind, each in (caches or {}).items()}
        self.by_name |= {name: partial(self._ours, data) for name, data in self.cached.items()}
        if method == ON_POLICY and not missing(work):
            self.trl = TrlStep(work, settings, bf16=self.trainer.learner.autocast._enabled)
            self.by_name[TRL] = lambda batch: self.trl.step(batch.rows)

    def ready(self, name: str) -> float:
        """Put the weights back; the time."""
        (self.trl.student if name == TRL else self.module).load_state_dict(self.weights)
        torch.manual_seed(self.seed)
        return now(self.work.student.device)

    def run(self, name: str, batch: MicroBatch) -> int:
        """One step; the number of its target tokens."""
        with without_determinism(name in (PLAIN, TRL)):
            return self.by_name[name](batch)

    def _ours(self, data: TrainingData, batch: MicroBatch) -> int:
        self.trainer.step([self._piece(data, batch)])
        return self.trainer.learner.tokens

    def _piece(self, data: TrainingData, batch: MicroBatch) -> MicroBatch:
        """The batch anew, with what these data store of the teacher."""
        self.trainer.data = data
        return self.trainer.micro_batch(batch.rows, 0)

    def _plain(self, batch: MicroBatch) -> int:
        return plain.step(
            self.method,
            self.module,
            self.teacher,
            self.optimizer,
            batch.source.input_ids,
            batch.source.attention_mask,
            batch.labels.get("teacher_samples"),
            self.work.longest,
            self.settings.max_grad_norm,
            self.trainer.learner.autocast,
        )

    def losses(self, batch: MicroBatch) -> dict[str, float]:
        """Of the same samples, which ours draws, and without dropout."""
        for name in self.by_name:
            self.ready(name)
        piece = self._piece(self.work.data, batch)
        counts = self.trainer.learner.sample_and_count(piece, 0)
        self.module.eval()
        with torch.no_grad():
            found = {OURS: self.trainer.learner.loss(piece, counts).item(), PLAIN: self.plain_loss(piece).item()}
            for name, data in self.cached.items():
                read = replace(piece, cached_distributions=[data.cached_distributions(row, 0) for row in piece.rows])
                found[name] = self.trainer.learner.loss(read, counts).item()
        if TRL in self.by_name:
            found[TRL] = self.trl.loss(piece.source, piece.labels[STUDENT_SAMPLES])
        return found

    def plain_loss(self, batch: MicroBatch) -> Tensor:
        """The plain recipe's, on the samples that the batch has."""
        ids, mask = batch.source.input_ids, batch.source.attention_mask
        halves = {kind.removesuffix("_samples"): labels for kind, labels in batch.labels.items()}
        with self.trainer.learner.autocast:
            return plain.loss(self.method, self.module, self.teacher, ids, mask, halves)


@contextmanager
def without_determinism(wanted: bool) -> Iterator[None]:
    """Leave torch the choice of its algorithms, as do all programs but ours."""
    before = torch.get_deterministic_debug_mode()
    if wanted:
        torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)


def _summary(times: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the repeats, with their spread where it matters."""
    return {
        "seconds": _spread([each["seconds"] for each in times]),
        "parts": {
            name: statistics.median(each["parts"].get(name, 0.0) for each in times)
            for name in (*step_parts.PARTS, REST)
        },
        "tokens_per_second": statistics.median(each["tokens"] / each["seconds"] for each in times),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
