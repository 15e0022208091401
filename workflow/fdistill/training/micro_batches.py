"""The data of training: the training split with its stored teacher sequences, and micro-batches of both."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from torch import Tensor

from fdistill.data.encoding import Encoded
from fdistill.losses.objectives import EXAMPLES, GROUND_TRUTH, IGNORE, LABELS, SOURCE, TEACHER_SAMPLES
from fdistill.models.language_model import Context, Source
from fdistill.sampling.teacher_cache import CachedDistributions, TeacherCache


@dataclass
class TrainingData:
    """The training split with the stored sequences of each example, as token ids.

    `stored[kind][i]` lists the teacher sequences of example i. An example with several sequences of a kind, references
    too, uses them in turn, one per epoch. `cache` has the teacher's distributions on its samples, if they are stored.
    """

    train: Encoded
    stored: dict[str, list[list[list[int]]]]
    cache: TeacherCache | None = None

    def sequences(self, kind: str, index: int, epoch: int) -> list[int]:
        """Return the token ids of an example's sequence of one kind in an epoch."""
        choices = self.train.references[index] if kind == GROUND_TRUTH else self.stored[kind][index]
        return choices[epoch % len(choices)]

    def cached_distributions(self, index: int, epoch: int) -> CachedDistributions:
        """Return the teacher's distributions on the sample that an example uses in an epoch."""
        sample = epoch % len(self.stored[TEACHER_SAMPLES][index])
        length = len(self.sequences(TEACHER_SAMPLES, index, epoch))
        return self.cache.distributions(self._first_rows[index] + sample, length)

    @cached_property
    def _first_rows(self) -> list[int]:
        """The row in the cache of each example's first sample."""
        return [0, *accumulate(map(len, self.stored[TEACHER_SAMPLES]))]


@dataclass
class MicroBatch:
    """The examples of one forward and backward pass: sources and, per kind of sequence, labels (B, T).

    Labels of a kind that training samples itself are None until it has.
    """

    source: Source
    labels: dict[str, Tensor | None]
    rows: list[int]  # of the training split
    ids: list[str]  # of the examples
    cached_distributions: list[CachedDistributions] | None = None  # the teacher's on its samples, if they are stored
    context: Context | None = None  # the student's, of sampling, if training can use it too

    def split(self, parts: int) -> list["MicroBatch"]:
        """Split the examples into `parts` micro-batches of about equal size, or fewer if there are fewer examples."""
        size = len(self.rows)
        bounds = [size * i // parts for i in range(parts + 1)]
        return [
            MicroBatch(
                Source(self.source.input_ids[begin:end], self.source.attention_mask[begin:end]),
                {kind: labels if labels is None else labels[begin:end] for kind, labels in self.labels.items()},
                self.rows[begin:end],
                self.ids[begin:end],
                self.cached_distributions and self.cached_distributions[begin:end],
            )
            for begin, end in pairwise(bounds)
            if begin < end
        ]

    def counts(self) -> dict[str, Counter]:
        """Return the numbers of valid label positions, source tokens and examples, for each kind of sequence."""
        source_tokens = int(self.source.attention_mask.sum())
        masks = {kind: labels != IGNORE for kind, labels in self.labels.items()}
        return {
            kind: Counter({LABELS: int(mask.sum()), SOURCE: source_tokens, EXAMPLES: int(mask.any(-1).sum())})
            for kind, mask in masks.items()
        }

    def sequences(self, kind: str) -> list[tuple[int, list[int]]]:
        """Return the row and the token ids of each example's sequence of one kind."""
        return [(row, ids[ids != IGNORE].tolist()) for row, ids in zip(self.rows, self.labels[kind], strict=True)]
