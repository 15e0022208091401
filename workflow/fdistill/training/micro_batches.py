"""The data of training: its stream of examples with their stored teacher sequences, and micro-batches of both."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from torch import Tensor

from fdistill.data.batches import label_batch, source_batch
from fdistill.data.encoding import Encoded
from fdistill.losses.inputs import EXAMPLES, IGNORE, LABELS, SOURCE
from fdistill.losses.sequences import GROUND_TRUTH, REPLAYED_SAMPLES, SAMPLED, STORED_SEQUENCES, TEACHER_SAMPLES
from fdistill.models.language_model import Context, LanguageModel, Source
from fdistill.sampling.teacher_cache import CachedDistributions, TeacherCache


@dataclass
class TrainingData:
    """The stream of an epoch: training examples with the stored sequences of each, as token ids.

    `train` has the labelled examples, then those without references. `stored[kind][i]` lists the teacher sequences of
    example i, of which the first `per_input` are used (None: all). An example with several sequences of a kind,
    references too, uses them in turn, one per epoch. `cache` has the teacher's distributions on its samples, if they
    are stored; `cached` are the kinds that it is of, whose sequences are then the same.

    With `include_original` the labelled examples follow once more, each with its reference in the place of its stored
    sequences (Calderon et al. 2023); the cache does not have these. An item of the stream is therefore number i of
    `train`, or number i - len(train) as an original pair.
    """

    train: Encoded
    stored: dict[str, list[list[list[int]]]]
    cache: TeacherCache | None = None
    include_original: bool = False
    per_input: int | None = None
    cached: tuple[str, ...] = (TEACHER_SAMPLES,)

    def __len__(self) -> int:
        """The number of items in the stream."""
        return len(self.train) + (self.labelled if self.include_original else 0)

    @cached_property
    def labelled(self) -> int:
        """The number of examples that have references."""
        return sum(map(bool, self.train.references))

    @property
    def summary(self) -> str:
        """What an epoch has, for the log: how many inputs of which kind, and the stored sequences of an input."""
        unlabelled, original = len(self.train) - self.labelled, len(self) - len(self.train)
        parts = [f"{self.labelled} labelled inputs, {unlabelled} unlabelled inputs, {original} original pairs"]
        for kind, by_input in self.stored.items():
            counts = [len(sequences[: self.per_input]) for sequences in by_input]
            low, high = min(counts), max(counts)
            parts.append(f"{low if low == high else f'{low} to {high}'} {kind} per input, in turn")
        return "; ".join(parts)

    def example(self, item: int) -> int:
        """Return the number of an item's example in `train`."""
        return item if item < len(self.train) else item - len(self.train)

    def choices(self, kind: str, item: int) -> list[list[int]]:
        """Return the sequences of one kind that an item uses in turn."""
        is_original = item >= len(self.train)
        if kind == GROUND_TRUTH or (is_original and kind in STORED_SEQUENCES):
            return self.train.references[self.example(item)]
        return self.stored[kind][item][: self.per_input]

    def sequences(self, kind: str, item: int, epoch: int) -> list[int]:
        """Return the token ids of an item's sequence of one kind in an epoch."""
        choices = self.choices(kind, item)
        return choices[epoch % len(choices)]

    def lengths(self, item: int) -> tuple[int, int]:
        """Return the tokens of an item's source, and of the first text that stands for its target.

        An example without references and stored sequences, whose targets training samples, has no such text: 0 tokens.
        """
        example = self.example(item)
        texts = self.train.references[example] or [text for kind in self.stored for text in self.choices(kind, item)]
        return len(self.train.sources[example]), len(texts[0]) if texts else 0

    def cached_distributions(self, item: int, epoch: int) -> CachedDistributions:
        """Return the teacher's distributions on the sample that an item uses in an epoch."""
        sample = epoch % len(self.choices(self.cached[0], item))
        length = len(self.sequences(self.cached[0], item, epoch))
        return self.cache.distributions(self._first_rows[item] + sample, length)

    @cached_property
    def _first_rows(self) -> list[int]:
        """The row in the cache of each example's first sample."""
        return [0, *accumulate(map(len, self.stored[self.cached[0]]))]


@dataclass
class MicroBatch:
    """The examples of one forward and backward pass: sources and, per kind of sequence, labels (B, T).

    Labels of a kind that training samples itself are None until it has.
    """

    source: Source
    labels: dict[str, Tensor | None]
    rows: list[int]  # items of the stream, which the seeds of samples and dropout depend on
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


def micro_batch(
    data: TrainingData, items: list[int], epoch: int, kinds: Sequence[str], model: LanguageModel
) -> MicroBatch:
    """Return a micro-batch of the given items of the stream, with their sequences of an epoch that are stored.

    `kinds` are the kinds of sequence that the step uses, and `model` is the one whose inputs they become.
    """
    stored_first = sorted(kinds, key=SAMPLED.__contains__)  # dropout draws for one kind after the other, in this order
    labels = {
        kind: None if kind in SAMPLED else label_batch([data.sequences(kind, i, epoch) for i in items], model.device)
        for kind in stored_first
    }
    examples = list(map(data.example, items))
    source = source_batch(model, [data.train.sources[i] for i in examples])
    is_cached = data.cache and {*data.cached} & {*kinds}
    cached = [data.cached_distributions(i, epoch) for i in items] if is_cached else None
    return MicroBatch(source, labels, items, [data.train.ids[i] for i in examples], cached)


def replayed_batches(
    data: TrainingData,
    samples: Sequence[tuple[int, list[int]]],
    size: int,
    epoch: int,
    kinds: Sequence[str],
    model: LanguageModel,
) -> list[MicroBatch]:
    """Return micro-batches of `size` stored samples, given as items with token ids, with the items' other sequences."""
    batches = []
    for begin in range(0, len(samples), size):
        items, sequences = zip(*samples[begin : begin + size], strict=True)
        batches.append(micro_batch(data, list(items), epoch, kinds, model))
        batches[-1].labels[REPLAYED_SAMPLES] = label_batch(sequences, model.device)
    return batches
