"""A frozen copied encoder that runs once for teacher and student, beside the same step in which it runs in both."""

from dataclasses import replace
from typing import Any

import torch

from fdistill.bench.clock import now
from fdistill.bench.steps import OURS, measure
from fdistill.bench.workload import Workload
from fdistill.data.limits import Limits
from fdistill.losses.objectives import Objective
from fdistill.losses.sequences import GROUND_TRUTH
from fdistill.models.families import FAMILIES
from fdistill.preflight.architectures import configuration
from fdistill.sampling.sampler import SamplingConfig
from fdistill.training.micro_batches import MicroBatch, micro_batch
from fdistill.training.settings import TrainingSettings
from fdistill.training.trainer import Trainer

TWICE = f"{OURS}, encoder in both models"
KD = "kd"
KD_TERMS = [  # Shleifer & Rush 2020, Eq. 5
    {"sequences": GROUND_TRUTH, "loss": "kl", "weight": 0.8, "temperature": 2.0},
    {"sequences": GROUND_TRUTH, "loss": "nll"},
    {"sequences": GROUND_TRUTH, "loss": "hidden_mse", "weight": 3.0},
]


def compare(
    model: dict[str, Any],
    limits: Limits,
    settings: TrainingSettings,
    lengths: str,
    repeats: int,
    seed: int,
    device: str | torch.device,
) -> dict[str, Any]:
    """Measure KD's step with the teacher's whole encoder, frozen: both ways in turn, and their losses.

    `model` is a task's section of an encoder-decoder family, whose student here keeps all encoder layers. The result
    has the keys of `steps.compare`, and `encoder_bytes`: weights that are in memory once instead of twice.
    """
    config, *_ = configuration(model)
    depth = getattr(config, FAMILIES[config.model_type].stacks["encoder"].size_key)
    model = model | {"student": model["student"] | {"encoder": depth}}
    workload = Workload.random(model, limits, settings.batch_size, lengths, seed, device)
    encoder = workload.student.module.get_encoder()
    size = sum(weight.nbytes for weight in encoder.parameters())
    measured = measure(EncoderSteps(workload, settings, seed), repeats)
    return {**measured, "missing": {}, "caches": {}, "encoder_bytes": size}


class EncoderSteps:
    """KD's step with one encoder and with two, as `steps.Steps` has those of other implementations."""

    by_name = (OURS, TWICE)

    def __init__(self, workload: Workload, settings: TrainingSettings, seed: int):
        self.workload, self.seed = workload, seed
        self.weights = {name: value.clone() for name, value in workload.student.module.state_dict().items()}
        settings = replace(settings, freeze=["encoder", "embeddings"])
        objective, sampling = Objective.from_config(KD_TERMS), SamplingConfig(workload.max_target_tokens)
        models = (workload.student, workload.teacher)
        self.trainer = Trainer(*models, objective, workload.data, settings, sampling, seed)

    def reset(self, name: str) -> float:
        """Restore the weights and the seed, and choose the way; return the time."""
        self.trainer.learner.shares_encoder = name == OURS
        self.workload.student.module.load_state_dict(self.weights)
        torch.manual_seed(self.seed)
        return now(self.workload.student.device)

    def run(self, name: str, batch: MicroBatch) -> int:
        """Run one step; return its number of target tokens."""
        student, kinds = self.workload.student, self.trainer.learner.objective.sequences
        self.trainer.step([micro_batch(self.workload.data, batch.rows, 0, kinds, student)])
        return self.trainer.learner.tokens

    def losses(self, batch: MicroBatch) -> dict[str, float]:
        """Return the loss of both on one batch, without dropout."""
        losses = {}
        for name in self.by_name:
            self.reset(name)
            self.workload.student.module.eval()
            with torch.no_grad():
                losses[name] = self.trainer.learner.loss(batch, batch.counts()).item()
        return losses
