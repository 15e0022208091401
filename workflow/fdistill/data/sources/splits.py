"""Groups examples and splits them by group, the same way in every run and on every machine."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import replace

from fdistill.data.sources import Example
from fdistill.data.sources.filters import distinct, shuffled
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


def linked(keys: dict[str, Iterable[Hashable]]) -> dict[str, str]:
    """Return the group of each item, named by the smallest of its items.

    `keys` has the keys of each item: items that share one, directly or through other items, form a group.
    """
    parent = {item: item for item in keys}

    def root(item: str) -> str:
        while parent[item] != item:
            parent[item] = item = parent[parent[item]]
        return item

    first_with: dict[Hashable, str] = {}
    for item, of_item in keys.items():
        for key in of_item:
            known, new = root(first_with.setdefault(key, item)), root(item)
            parent[max(known, new)] = min(known, new)
    return {item: root(item) for item in keys}


def one_per_reference(example: Example) -> list[Example]:
    """Return an example for each reference, which is how a corpus with several references is trained on."""
    return [
        replace(example, id=f"{example.id}/{number}", references=(reference,))
        for number, reference in enumerate(example.references)
    ]


def one_per_source(examples: list[Example], limit: int | None = None) -> list[Example]:
    """Return one example per source with the first `limit` of its distinct references that are not blank."""
    references: dict[str, dict[str, None]] = {}
    for example in examples:
        references.setdefault(example.source, {}).update(dict.fromkeys(filter(str.strip, example.references)))
    return [
        replace(example, references=tuple(references[example.source])[:limit])
        for example in distinct(examples, lambda example: example.source)
    ]
