"""Splits a corpus by group, the same way in every run and on every machine."""

from collections import defaultdict

from fdistill.data.sources import Example
from fdistill.data.sources.filters import shuffled
from fdistill.runtime.errors import UserError


def split_by_group(examples: list[Example], dev_size: int, test_size: int) -> dict[str, list[Example]]:
    """Split `examples` into train, dev and test so that no group lies in two of them.

    Groups are ordered by a hash of their names. The first ones fill test, the next dev, and the rest is train. Examples
    of a group beyond a split's size are left out. Raises UserError when nothing is left for train.
    """
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        groups[example.group].append(example)
    remaining = iter(shuffled(groups, key=str))

    splits: dict[str, list[Example]] = {"train": []}
    for name, size in (("test", test_size), ("dev", dev_size)):
        members: list[Example] = []
        while len(members) < size and (group := next(remaining, None)) is not None:
            members += groups[group]
        splits[name] = members[:size]
    splits["train"] = [example for group in remaining for example in groups[group]]

    if not splits["train"]:
        raise UserError(
            f"source.dev_size and source.test_size: {dev_size} and {test_size} leave nothing to train on "
            f"(the filters kept {len(examples)} examples in {len(groups)} groups); lower them in the task file"
        )
    return {name: splits[name] for name in ("train", "dev", "test")}
