"""Splits by group, the same for every run and every machine."""

from collections import defaultdict

from fdistill.data.sources import Example
from fdistill.data.sources.filters import shuffled
from fdistill.runtime.errors import UserError


def split_by_group(examples: list[Example], dev_size: int, test_size: int) -> dict[str, list[Example]]:
    """Cut `examples` into train, dev and test so that no group lies in two of them.

    Groups come in the order of a hash of their names. The first ones fill test, the next dev, the rest is
    train; where a group overshoots a size, its surplus examples belong to no split. Raises UserError when
    nothing is left to train on.
    """
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        groups[example.group].append(example)
    waiting = iter(shuffled(groups, key=str))

    splits: dict[str, list[Example]] = {"train": []}
    for name, size in (("test", test_size), ("dev", dev_size)):
        chosen: list[Example] = []
        while len(chosen) < size and (group := next(waiting, None)) is not None:
            chosen += groups[group]
        splits[name] = chosen[:size]
    splits["train"] = [example for group in waiting for example in groups[group]]

    if not splits["train"]:
        raise UserError(
            f"source.dev_size and source.test_size: {dev_size} and {test_size} leave nothing to train on "
            f"(the filters kept {len(examples)} examples in {len(groups)} groups); ask for less"
        )
    return {name: splits[name] for name in ("train", "dev", "test")}
