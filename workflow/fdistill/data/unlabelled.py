"""Unlabelled inputs of any source: the labels of a share of the training split are held out."""

from collections import defaultdict
from dataclasses import replace

from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.filters import shuffled
from fdistill.runtime.errors import UserError

SHARE = "unlabelled_share"  # the key of a task file's `source:`, whatever its kind


def hold_out_labels(corpus: Corpus, share: float) -> None:
    """Move a share of the training split to the unlabelled inputs, without its references.

    Whole groups are moved, in the order of a hash of their names that is another than that of the splits, as long as
    each brings the number of inputs nearer to `share`. Both parts keep the order of their examples. Raises UserError
    for a share that is not between 0 and 1, when there are unlabelled inputs already, and when either part would be
    empty.
    """
    if type(share) not in (int, float) or not 0 < share < 1:
        raise UserError(f"source.{SHARE}: {share!r} is no share; set a number between 0 and 1, or null")
    if corpus.unlabelled:
        raise UserError(f"source.{SHARE}: source.path has unlabelled inputs already; remove one of the two")
    train = corpus.splits["train"]
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in train:
        groups[example.group].append(example)
    missing, held_out = share * len(train), set()
    for group in shuffled(groups, key=lambda group: f"unlabelled {group}"):
        if len(groups[group]) < 2 * missing:
            held_out.add(group)
            missing -= len(groups[group])
    if not held_out or len(held_out) == len(groups):
        raise UserError(
            f"source.{SHARE}: {share:g} of {len(train):,} training inputs in {len(groups):,} groups leaves "
            f"{'every input its label' if not held_out else 'no input with a label'}, since groups stay together; "
            "choose a share nearer to a half, or smaller groups"
        )
    corpus.splits["train"] = [example for example in train if example.group not in held_out]
    corpus.unlabelled = [replace(example, references=()) for example in train if example.group in held_out]
    corpus.count("train: inputs that keep their labels", len(train), len(corpus.splits["train"]))
