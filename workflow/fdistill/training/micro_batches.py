"""What training takes its steps on: the training split with its teacher sequences, in micro-batches."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from torch import Tensor

from fdistill.data.encoding import Encoded
from fdistill.losses.objectives import GROUND_TRUTH, IGNORE, LABELS, SOURCE, TEACHER_SAMPLES
from fdistill.models.language_model import Context, Source
from fdistill.sampling.teacher_cache import CachedDistributions, TeacherCache


@dataclass
class TrainingData:
    """The training split, and for each kind of stored teacher sequence the labels of every example.

    `stored[kind][i]` lists the sequences of example i. Where it has several, references or samples, they are taken in
    turn, one per epoch. `cache` holds the teacher's distributions on its samples, if they are stored.
    """

    train: Encoded
    stored: dict[str, list[list[list[int]]]]
    cache: TeacherCache | None = None

    def sequences(self, kind: str, index: int, epoch: int) -> list[int]:
        """Token ids of one example's sequence of one kind."""
        choices = self.train.references[index] if kind == GROUND_TRUTH else self.stored[kind][index]
        return choices[epoch % len(choices)]

    def cached_distributions(self, index: int, epoch: int) -> CachedDistributions:
        """The teacher's distributions on one example's sample of an epoch."""
        number = epoch % len(self.stored[TEACHER_SAMPLES][index])
        return self.cache.distributions(
            self._first_rows[index] + number, len(self.sequences(TEACHER_SAMPLES, index, epoch))
        )

    @cached_property
    def _first_rows(self) -> list[int]:
        return [0, *accumulate(map(len, self.stored[TEACHER_SAMPLES]))]


@dataclass
class MicroBatch:
    """What one forward pass needs: sources and, per kind of sequence, labels (B, T)."""

    source: Source
    labels: dict[str, Tensor]
    rows: list[int]  # of the training split
    ids: list[str]  # of the examples
    cached_distributions: list[CachedDistributions] | None = None  # the teacher's on its samples, where they are stored
    context: Context | None = None  # what the student made of the source when it sampled, where that can be learnt from

    def split(self, parts: int) -> list["MicroBatch"]:
        """The same examples in so many micro-batches of about the same size, or in as many as there are examples."""
        size = len(self.rows)
        bounds = [size * i // parts for i in range(parts + 1)]
        return [
            MicroBatch(
                Source(self.source.input_ids[begin:end], self.source.attention_mask[begin:end]),
                {kind: labels[begin:end] for kind, labels in self.labels.items()},
                self.rows[begin:end],
                self.ids[begin:end],
                self.cached_distributions and self.cached_distributions[begin:end],
            )
            for begin, end in pairwise(bounds)
            if begin < end
        ]

    def counts(self) -> dict[str, Counter]:
        """Valid positions per kind of sequence, of labels and of sources."""
        sources = int(self.source.attention_mask.sum())
        return {k: Counter({LABELS: int((v != IGNORE).sum()), SOURCE: sources}) for k, v in self.labels.items()}
