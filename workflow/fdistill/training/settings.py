"""The settings of a training stage, as section `training` of the configuration has them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained. The configuration's schema describes each key and gives its default."""

    optimizer: str
    learning_rate: float
    weight_decay: float
    batch_size: int
    accumulation: int
    max_examples: int | None
    max_unlabelled: int | None
    epochs: float
    max_steps: int | None
    warmup_steps: int
    max_grad_norm: float
    precision: str
    freeze: list[str]
    evaluate_every: float
    patience: int | None
    max_skipped_steps: int
    checkpoint_minutes: float | None
