"""Reads botocore's service models as records: the facts about a field or operation, and a sentence that describes it.

A model (`botocore/data/<service>/<version>/service-2.json.gz`) has the type, limits and documentation of every field in
the requests and responses of a cloud service.
"""

import gzip
import html
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fdistill.data.archives import member_names, read_members
from fdistill.data.sources.filters import first_sentence
from fdistill.runtime.errors import UserError

KINDS = ("field", "operation")
ATTRIBUTES = ("owner", "service", "type", "required", "min", "max", "enum", "input", "output")
LISTED = 8  # most values of an enumeration or fields of an input that are listed, so that the source stays short


@dataclass(frozen=True)
class Record:
    """The facts that a model has about a field or operation, and the first sentence of its documentation."""

    id: str
    service: str  # the model's folder; all records of a service lie in one split
    name: str
    facts: dict[str, str]  # attribute -> value, in ATTRIBUTES' order; unknown ones are absent
    target: str

    def source(self, attributes: tuple[str, ...]) -> str:
        """Return `subject : relation : value` triples joined by ` | `; the subject is the record's name."""
        triples = [f"{self.name} : {key} : {value}" for key, value in self.facts.items() if key in attributes]
        return " | ".join(triples)


def read_models(wheel: Path) -> Iterator[tuple[str, dict]]:
    """Yield (service, newest model) for every service in the wheel; raises UserError for a damaged one, or for none."""
    versions = defaultdict(list)
    for name in member_names(wheel):
        if match := re.fullmatch(r"botocore/data/([^/]+)/([^/]+)/service-2\.json(\.gz)?", name):
            versions[match[1]].append(name)
    newest = {max(names): service for service, names in versions.items()}  # folders are named by date
    if not newest:
        raise UserError(
            f"{wheel}: has no service models (botocore/data/*/*/service-2.json), so it is not botocore; "
            "delete it and run again"
        )
    for name, content in read_members(wheel, newest.__contains__):
        try:
            yield newest[name], json.loads(gzip.decompress(content) if name.endswith(".gz") else content)
        except (ValueError, OSError, EOFError) as error:
            raise UserError(
                f"{wheel}: '{name}' is not a JSON service model ({error}); delete the wheel and run again"
            ) from None


def model_records(service: str, model: dict, kinds: tuple[str, ...]) -> Iterator[Record]:
    """Yield the documented fields and operations of one service."""
    shapes, label = model["shapes"], model["metadata"]["serviceId"]
    if "field" in kinds:
        for owner, shape in shapes.items():
            for field, member in shape.get("members", {}).items():
                target = opening(member.get("documentation", ""))
                if target:
                    kind = shapes[member["shape"]]
                    facts = {
                        "owner": spell(owner),
                        "service": label,
                        "type": spell_type(member["shape"], shapes),
                    }
                    if field in shape.get("required", ()):
                        facts["required"] = "yes"
                    facts |= {key: str(kind[key]) for key in ("min", "max") if key in kind}
                    if "enum" in kind:
                        facts["enum"] = ", ".join(kind["enum"][:LISTED])
                    yield Record(f"{service}/{owner}/{field}", service, spell(field), facts, target)
    if "operation" in kinds:
        for name, operation in model["operations"].items():
            target = opening(operation.get("documentation", ""))
            if target:
                facts = {"service": label}
                for key in ("input", "output"):
                    members = shapes[operation[key]["shape"]].get("members", {}) if key in operation else {}
                    if members:
                        facts[key] = ", ".join(spell(member) for member in list(members)[:LISTED])
                yield Record(f"{service}/{name}", service, spell(name), facts, target)


def spell_type(name: str, shapes: dict[str, dict]) -> str:
    """Return a type in words: string, integer, list of ..., map of ..., or the name of a structure."""
    shape = shapes[name]
    if shape["type"] == "structure":
        return spell(name)
    for key, container in (("member", "list"), ("value", "map")):
        if key in shape:
            inner = shape[key]["shape"]
            kind = shapes[inner]["type"]
            return f"{container} of {spell(inner) if kind == 'structure' else kind}"
    return shape["type"]


# IPv6 | plural of an acronym | acronym with its digits | word | number
WORD_IN_NAME = re.compile(r"IPv[46]|[A-Z]{2,}s(?![a-z])|[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")


def spell(identifier: str) -> str:
    """Return an identifier in words: `CreateVPCEndpointRequest` -> `create VPC endpoint request`."""
    return " ".join(
        word if len(word) > 1 and word[:2].isupper() else word.lower() for word in WORD_IN_NAME.findall(identifier)
    )


BLOCK_TAG = re.compile(r"</?(?:p|ul|ol|li|dl|dt|dd|note|important|caution|warning|div|br|pre|table|h\d)\b[^>]*>", re.I)
TAG = re.compile(r"</?[A-Za-z][^>]*>")


def opening(documentation: str) -> str:
    """Return the first sentence of the first block of an HTML text, without mark-up; "" if there is none."""
    for block in BLOCK_TAG.split(documentation):
        text = " ".join(html.unescape(TAG.sub("", block)).split())
        if text:
            return first_sentence(text)
    return ""
