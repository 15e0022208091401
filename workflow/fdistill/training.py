"""One training loop for everything that is trained: the teacher, the pre-distilled student, every method."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.optimization import Adafactor, get_linear_schedule_with_warmup

from fdistill.data.batches import Encoded, epoch_batches, label_batch, source_batch
from fdistill.errors import UserError
from fdistill.models.language_model import Context, Decoded, LanguageModel, Source
from fdistill.models.students import freeze, supervising_layers
from fdistill.objectives import (
    GROUND_TRUTH,
    IGNORE,
    LABELS,
    SOURCE,
    STUDENT_SAMPLES,
    Objective,
    Step,
)
from fdistill.progress import Progress
from fdistill.sampling import Drawing, draw

log = logging.getLogger(__name__)

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    "adam": partial(torch.optim.Adam, fused=True),
    # The fixed learning rate of the T5 recipe, as in the reference code; Shazeer & Stern 2018 otherwise.
    "adafactor": lambda parameters, lr, weight_decay: Adafactor(
        parameters, lr=lr, weight_decay=weight_decay, scale_parameter=False, relative_step=False
    ),
}


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained. The config's schema describes each key and gives its default."""

    optimizer: str
    learning_rate: float
    weight_decay: float
    batch_size: int
    accumulation: int
    max_examples: int | None
    epochs: float
    max_steps: int | None
    warmup_steps: int
    max_grad_norm: float
    precision: str
    freeze: list[str]
    evaluate_every: float
    patience: int | None


@dataclass
class TrainingData:
    """The training split, and for each kind of stored teacher sequence the labels of every example.

    `stored[kind][i]` lists the sequences of example i. Where it has several, references or samples, they are taken in
    turn, one per epoch.
    """

    train: Encoded
    stored: dict[str, list[list[list[int]]]]

    def sequences(self, kind: str, index: int, epoch: int) -> list[int]:
        """Token ids of one example's sequence of one kind."""
        choices = self.train.references[index] if kind == GROUND_TRUTH else self.stored[kind][index]
        return choices[epoch % len(choices)]


@dataclass
class MicroBatch:
    """What one forward pass needs: sources and, per kind of sequence, labels (B, T)."""

    source: Source
    labels: dict[str, Tensor]

    def counts(self) -> dict[str, Counter]:
        """Valid positions per kind of sequence, of labels and of sources."""
        sources = int(self.source.attention_mask.sum())
        return {k: Counter({LABELS: int((v != IGNORE).sum()), SOURCE: sources}) for k, v in self.labels.items()}


class Trainer:
    """Trains `student` towards `objective`, with `teacher` fixed."""

    def __init__(
        self,
        student: LanguageModel,
        teacher: LanguageModel | None,
        objective: Objective,
        data: TrainingData,
        settings: TrainingSettings,
        drawing: Drawing,
        seed: int,
    ):
        """`drawing` is how the student's samples are drawn on line; `seed` fixes order, dropout, samples."""
        if objective.needs_teacher and teacher is None:
            raise UserError("this method compares distributions with a teacher's; give --teacher")
        self.student, self.objective, self.data, self.settings = student, objective, data, settings
        self.teacher = teacher if objective.needs_teacher else None  # seqkd loads none and runs none
        if self.teacher is not None:
            self.teacher.module.eval().requires_grad_(False)
        self.drawing, self.seed = drawing, seed
        torch.manual_seed(seed)
        self.sampler = torch.Generator(device=student.device).manual_seed(seed)
        freeze(student, settings.freeze)
        self.trainable = [p for p in student.module.parameters() if p.requires_grad]
        if not self.trainable:
            raise UserError(f"training.freeze: {', '.join(settings.freeze)} leaves nothing to train")
        per_epoch = -(-len(data.train) // (settings.batch_size * settings.accumulation))
        self.total_steps = max(1, round(settings.epochs * per_epoch)) if settings.epochs else 0
        if settings.max_steps is not None:
            self.total_steps = min(self.total_steps, settings.max_steps)
        self.evaluate_steps = max(1, round(settings.evaluate_every * per_epoch))
        make = OPTIMIZERS[settings.optimizer]
        self.optimizer = make(self.trainable, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self.schedule = get_linear_schedule_with_warmup(self.optimizer, settings.warmup_steps, max(1, self.total_steps))
        device = student.device.type
        bf16 = settings.precision == "bf16" or (
            settings.precision == "auto" and device == "cuda" and torch.cuda.is_bf16_supported()
        )
        self.autocast = torch.autocast(device, dtype=torch.bfloat16, enabled=bf16)

    # --- one step ----------------------------------------------------------------------------------------------

    def step(self, batches: list[MicroBatch]) -> float:
        """One optimiser step over an effective batch; its loss, a mean over the valid positions of all of it."""
        for batch in batches:
            if STUDENT_SAMPLES in self.objective.sequences:
                with self.autocast:
                    samples = draw(self.student, batch.source, self.drawing, self.sampler)
                batch.labels[STUDENT_SAMPLES] = samples.labels
        counts: dict[str, Counter] = {kind: Counter() for kind in self.objective.sequences}
        for batch in batches:
            for kind, count in batch.counts().items():
                counts[kind] += count
        self.student.module.train()
        total = 0.0
        for batch in batches:
            loss = self.loss(batch, counts)
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(self.trainable, self.settings.max_grad_norm)
        if not torch.isfinite(norm):
            raise UserError(f"training: the gradient is not finite (loss {total:.4g}); lower learning_rate")
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total

    def loss(self, batch: MicroBatch, counts: dict[str, Counter]) -> Tensor:
        """The objective on one micro-batch. Each model encodes the source once, whatever the number of halves."""
        hidden = self.objective.needs_hidden
        with self.autocast:
            student_context = self.student.encode(batch.source, hidden)
            with torch.no_grad():
                teacher_context = self.teacher.encode(batch.source, hidden) if self.teacher else None
            steps = {}
            for kind, labels in batch.labels.items():
                student = self.student.decode(student_context, labels, hidden)
                steps[kind] = Step(labels, student.logits, source_mask=batch.source.attention_mask)
                if not self.objective.needs_teacher_on(kind):
                    continue
                with torch.no_grad():
                    teacher = self.teacher.decode(teacher_context, labels, hidden)
                steps[kind].teacher_logits = teacher.logits
                if hidden:
                    pairs = hidden_pairs((student_context, student), (teacher_context, teacher))
                    steps[kind].hidden_pairs = pairs
        return self.objective.loss(steps, counts)

    # --- the whole run -----------------------------------------------------------------------------------------

    def batches(self) -> Iterator[list[MicroBatch]]:
        """Effective batches without end, epoch after epoch."""
        lengths = [len(s) + len(t) for s, t in zip(self.data.train.sources, self.data.train.targets, strict=True)]
        stored = [kind for kind in self.objective.sequences if kind != STUDENT_SAMPLES]
        epoch = 0
        while True:
            pending: list[MicroBatch] = []
            for indices in epoch_batches(lengths, self.settings.batch_size, self.seed, epoch):
                labels = {
                    kind: label_batch([self.data.sequences(kind, i, epoch) for i in indices], self.student.device)
                    for kind in stored
                }
                pending.append(
                    MicroBatch(source_batch(self.student, [self.data.train.sources[i] for i in indices]), labels)
                )
                if len(pending) == self.settings.accumulation:
                    yield pending
                    pending = []
            if pending:
                yield pending
            epoch += 1

    def run(
        self,
        score: Callable[[LanguageModel], dict[str, float]],
        select_by: str,
        higher_is_better: bool,
        keep_last: bool = False,
    ) -> list[dict[str, Any]]:
        """Train, and leave the student with the weights that scored best on the development split, or the last ones.

        `score` evaluates the student; of what it returns, `select_by` decides. Returns the history: per evaluation,
        one entry with the mean training loss since the last one, and one with the scores.
        """
        history: list[dict[str, Any]] = []
        best, best_weights, waited = float("-inf"), None, 0
        progress = Progress("training", self.total_steps)
        tokens, seconds, recent = 0, 0.0, []
        for number, batches in zip(range(1, self.total_steps + 1), self.batches(), strict=False):
            began = time.monotonic()
            recent.append(self.step(batches))
            seconds += time.monotonic() - began
            tokens += sum(count[LABELS] for batch in batches for count in batch.counts().values())
            progress.advance(loss=recent[-1], tokens_per_s=tokens / seconds)
            if number % self.evaluate_steps and number != self.total_steps:
                continue
            scores = score(self.student)
            rate = self.schedule.get_last_lr()[0]
            history.append({"step": number, "loss": sum(recent) / len(recent), "learning_rate": rate})
            history.append({"step": number, "dev": scores})
            recent = []
            log.info("step %d: development %s", number, "  ".join(f"{k} {v:.4f}" for k, v in scores.items()))
            value = scores[select_by] if higher_is_better else -scores[select_by]
            if value > best:
                best, waited = value, 0
                if not keep_last:
                    best_weights = {k: v.detach().cpu().clone() for k, v in self.student.module.state_dict().items()}
            else:
                waited += 1
                if self.settings.patience is not None and waited >= self.settings.patience:
                    log.info("no better for %d evaluations: stopped at step %d", waited, number)
                    break
        progress.close()
        if best_weights is not None:
            self.student.module.load_state_dict(best_weights)
        self.student.module.eval()
        return history


def hidden_pairs(
    student: tuple[Context, Decoded], teacher: tuple[Context, Decoded]
) -> list[tuple[Tensor, Tensor, str]]:
    """Student layer i beside teacher layer φ(i), for the encoder and the decoder (state 0 is the embedding output)."""
    pairs = []
    for part, positions in ((0, SOURCE), (1, LABELS)):
        student_states, teacher_states = student[part].hidden_states, teacher[part].hidden_states
        if not student_states:  # a decoder-only model has no encoder
            continue
        supervisors = supervising_layers(len(student_states) - 1, len(teacher_states) - 1)
        pairs += [(student_states[i + 1], teacher_states[j + 1], positions) for i, j in enumerate(supervisors)]
    return pairs
