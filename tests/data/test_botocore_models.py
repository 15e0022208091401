"""Service models as records: how names, facts and documentation read, and how damage is reported."""

import gzip
import zipfile

import pytest
from botocore_wheels import everything, field_model, write_wheel
from fdistill.data.sources import load
from fdistill.data.sources.embedded.botocore_models import opening, spell
from fdistill.runtime.errors import UserError

RICH = {
    "metadata": {"serviceId": "Tiny Store"},
    "operations": {
        "CreateBox": {
            "input": {"shape": "CreateBoxRequest"},
            "output": {"shape": "Empty"},
            "documentation": "<p>Creates a box with a size and a colour.</p>",
        }
    },
    "shapes": {
        "CreateBoxRequest": {
            "type": "structure",
            "required": ["BoxSize"],
            "members": {
                "BoxSize": {
                    "shape": "Size",
                    "documentation": "<p>The <code>size</code> of the box. More.</p>",
                },
                "Colour": {"shape": "Colour", "documentation": "<p>The colour of the box.</p><p>Else.</p>"},
                "Labels": {"shape": "Labels", "documentation": "The labels of the box &amp; its lid."},
            },
        },
        "Size": {"type": "integer", "min": 1, "max": 10},
        "Colour": {"type": "string", "enum": ["RED", "BLUE"]},
        "Labels": {"type": "list", "member": {"shape": "BoxLabel"}},
        "BoxLabel": {"type": "structure", "members": {}},
        "Empty": {"type": "structure", "members": {}},
    },
}


@pytest.mark.parametrize("packed", [True, False])
def test_records_read_as_triples_and_targets_are_first_sentences(tmp_path, packed):
    archives = write_wheel(tmp_path, {"store/2020-01-01": RICH}, packed)
    examples = {e.id: e for e in everything(load("botocore", archives, {}))}
    assert {id: (e.source, e.references) for id, e in examples.items()} == {
        "store/CreateBoxRequest/BoxSize": (
            "box size : owner : create box request | box size : service : Tiny Store | "
            "box size : type : integer | box size : required : yes | "
            "box size : min : 1 | box size : max : 10",
            ("The size of the box.",),
        ),
        "store/CreateBoxRequest/Colour": (
            "colour : owner : create box request | colour : service : Tiny Store | "
            "colour : type : string | colour : enum : RED, BLUE",
            ("The colour of the box.",),
        ),
        "store/CreateBoxRequest/Labels": (
            "labels : owner : create box request | labels : service : Tiny Store | labels : type : list of box label",
            ("The labels of the box & its lid.",),
        ),
        "store/CreateBox": (
            "create box : service : Tiny Store | create box : input : box size, colour, labels",
            ("Creates a box with a size and a colour.",),
        ),
    }
    assert {e.group for e in examples.values()} == {"store"}


def test_kinds_and_attributes_restrict_the_records(tmp_path):
    options = {"kind": "botocore", "kinds": ["field"], "attributes": ["owner", "type"]}
    archives = write_wheel(tmp_path, {"store/2020-01-01": RICH})
    examples = {e.id: e.source for e in everything(load("botocore", archives, options))}
    assert examples["store/CreateBoxRequest/BoxSize"] == (
        "box size : owner : create box request | box size : type : integer"
    )
    assert "store/CreateBox" not in examples


def test_only_the_newest_model_of_a_service_counts(tmp_path):
    old = field_model({"BoxName": "<p>The old name of the box.</p>"})
    new = field_model({"BoxName": "<p>The new name of the box.</p>"})
    archives = write_wheel(tmp_path, {"store/2019-12-31": old, "store/2020-01-01": new})
    assert [e.references for e in everything(load("botocore", archives, {}))] == [("The new name of the box.",)]


@pytest.mark.parametrize(
    ("documentation", "sentence"),
    [
        ("<p>A box, e.g. Red or so. Another.</p>", "A box, e.g. Red or so."),
        ("<p/><p>  The <a href='x'>box</a>\n size. </p>", "The box size."),
        ("<note><p>The box.</p></note>", "The box."),
        ("<p>Version 1.2 of the box</p><p>Next.</p>", "Version 1.2 of the box"),
        ("", ""),
    ],
)
def test_opening(documentation, sentence):
    assert opening(documentation) == sentence


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("CreateVPCEndpointRequest", "create VPC endpoint request"),
        ("bucketArn", "bucket arn"),
        ("S3Bucket", "S3 bucket"),
        ("SubnetIDs", "subnet IDs"),
        ("useIPv6Address", "use IPv6 address"),
        ("kms_key-id", "kms key id"),
    ],
)
def test_spell(identifier, words):
    assert spell(identifier) == words


def test_a_wheel_without_models(tmp_path):
    with pytest.raises(UserError, match=r"has no service models .*, so it is not botocore; delete it"):
        load("botocore", write_wheel(tmp_path, {}), {})


def test_a_damaged_model(tmp_path):
    archives = write_wheel(tmp_path, {})
    with zipfile.ZipFile(archives["botocore"], "w") as wheel:
        wheel.writestr("botocore/data/store/1/service-2.json.gz", gzip.compress(b"{}")[:-5])
    with pytest.raises(UserError, match=r"store/1/service-2\.json\.gz' is not a JSON service model .*delete the wheel"):
        load("botocore", archives, {})
