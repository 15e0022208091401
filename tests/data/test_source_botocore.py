"""API records: how they read, what the filters drop, how they are split; on made-up service models."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest
from fdistill.data.sources import load
from fdistill.data.sources.embedded import botocore
from fdistill.data.sources.embedded.botocore import support
from fdistill.data.sources.embedded.botocore_models import opening, spell
from fdistill.runtime.errors import UserError


def field_model(fields: dict[str, str], service_id: str = "Tiny Store") -> dict:
    """A service model with one structure, `CreateBoxRequest`, and these documented fields."""
    members = {name: {"shape": "Name", "documentation": text} for name, text in fields.items()}
    return {
        "metadata": {"serviceId": service_id},
        "operations": {},
        "shapes": {"CreateBoxRequest": {"type": "structure", "members": members}, "Name": {"type": "string"}},
    }


@pytest.fixture
def write(tmp_path):
    """Write service models, keyed by `service/version`, as a botocore wheel."""

    def write(models: dict[str, dict], packed: bool = True) -> dict[str, Path]:
        path = tmp_path / "botocore-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            for folder, model in models.items():
                name, content = f"botocore/data/{folder}/service-2.json", json.dumps(model).encode()
                wheel.writestr(name + ".gz" * packed, gzip.compress(content) if packed else content)
                wheel.writestr(f"botocore/data/{folder}/paginators-1.json", b"{}")
        return {"botocore": path}

    return write


def everything(corpus) -> list:
    return [example for split in corpus.splits.values() for example in split]


def count(corpus, step: str) -> tuple[int, int]:
    (found,) = [entry for entry in corpus.counts if step in entry["step"]]
    return found["before"], found["after"]


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
def test_records_read_as_triples_and_targets_are_first_sentences(write, packed):
    found = {e.id: e for e in everything(load("botocore", write({"store/2020-01-01": RICH}, packed), {}))}
    assert {id: (e.source, e.references) for id, e in found.items()} == {
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
    assert {e.group for e in found.values()} == {"store"}


def test_kinds_and_attributes_restrict_the_records(write):
    options = {"kind": "botocore", "kinds": ["field"], "attributes": ["owner", "type"]}
    found = {e.id: e.source for e in everything(load("botocore", write({"store/2020-01-01": RICH}), options))}
    assert found["store/CreateBoxRequest/BoxSize"] == (
        "box size : owner : create box request | box size : type : integer"
    )
    assert "store/CreateBox" not in found


def test_only_the_newest_model_of_a_service_counts(write):
    old = field_model({"BoxName": "<p>The old name of the box.</p>"})
    new = field_model({"BoxName": "<p>The new name of the box.</p>"})
    archives = write({"store/2019-12-31": old, "store/2020-01-01": new})
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


def test_support_is_the_share_of_content_words_by_stem():
    source = "policy names : owner : create box request | policy names : type : string"
    assert support("The names of the policies.", source) == 1
    assert support("The created box is heavy.", source) == pytest.approx(2 / 3)  # created, box; heavy is not there
    assert support("The heavy lid.", source) == 0
    assert support("This is it.", source) == 0  # no content word at all


def test_a_target_that_its_record_does_not_hold_is_dropped(write):
    fields = {
        "BoxName": "<p>The name of something heavy made elsewhere.</p>",
        "BoxSize": "<p>The size of it.</p>",
    }
    corpus = load("botocore", write({"store/2020-01-01": field_model(fields)}), {})
    assert [e.references[0] for e in everything(corpus)] == ["The size of it."]
    assert count(corpus, "content words") == (2, 1)


@pytest.mark.parametrize("text", ["the box name.", "The box name", "The box <name> name.", "The box name.."])
def test_what_is_not_a_sentence_is_dropped(write, text):
    corpus = load("botocore", write({"store/2020-01-01": field_model({"BoxName": f"<p>{text}</p>"[:-4]})}), {})
    kept = text == "The box <name> name."  # an unknown tag is mark-up like any other
    assert len(everything(corpus)) == kept


def test_target_words_bound_the_target(write):
    fields = {
        "BoxName": "<p>The box name.</p>",
        "BoxSize": "<p>The size of the box.</p>",
        "Box": "<p>The box.</p>",
    }
    archives = write({"store/2020-01-01": field_model(fields)})
    found = everything(load("botocore", archives, {"target_words": [3, 4]}))
    assert [e.references[0] for e in found] == ["The box name."]


def test_a_sentence_that_a_service_repeats_for_a_name_counts_once(write):
    model = field_model({"BoxName": "<p>The name of the box.</p>"})
    model["shapes"]["UpdateBoxRequest"] = model["shapes"]["CreateBoxRequest"]
    corpus = load("botocore", write({"store/1": model, "other/1": model}), {})
    assert sorted(e.group for e in everything(corpus)) == ["other", "store"]
    assert count(corpus, "one record per name") == (4, 2)


def letters(number: int) -> str:
    """A word of its own for every number, without digits."""
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:04d}").title()


def test_opening_four_words_and_service_are_capped(write):
    same = {f"Box{letters(i)}": f"<p>The name of the box {letters(i)}.</p>" for i in range(200)}
    corpus = load("botocore", write({"store/2020-01-01": field_model(same)}), {})
    assert count(corpus, "opening four words") == (200, 150)

    other = {f"Box{letters(i)}": f"<p>Box {letters(i)} of this box request.</p>" for i in range(500)}
    corpus = load("botocore", write({"store/2020-01-01": field_model(other)}), {})
    assert count(corpus, "opening four words") == (500, 500)
    assert count(corpus, "service, at most") == (500, 400)


def test_services_are_not_cut_and_every_split_has_its_share(write):
    models = {
        f"service{i}/2020-01-01": field_model(
            {f"Box{letters(i)}{letters(j)}": f"<p>Box {letters(i)} {letters(j)}.</p>" for j in range(3)}
        )
        for i in range(300)
    }
    corpus = load("botocore", write(models), {})
    groups = {name: {e.group for e in split} for name, split in corpus.splits.items()}
    assert sum(map(len, groups.values())) == len(set.union(*groups.values())) == 300
    assert [len(groups[name]) for name in ("train", "dev", "test")] == pytest.approx([255, 15, 30], abs=15)
    assert len({e.id for e in everything(corpus)}) == len(everything(corpus))


@pytest.fixture
def by_name(monkeypatch):
    """Services whose name begins with dev or test are put there."""
    places = {"dev": 0.01, "test": 0.1}
    monkeypatch.setattr(botocore, "position", lambda service: places.get(service.rstrip("0123456789"), 0.9))


def test_held_out_targets_that_training_nearly_contains_are_dropped(write, by_name):
    # 4-grams of the test targets: 5 of 6 are in the training target; 4 of 6 are
    train = {"Box": "<p>The box name that the box owner gave it.</p>"}
    near = {"Box": "<p>The box name that the box owner gave box.</p>"}
    far = {"Box": "<p>The box name that the box owner box box.</p>"}
    models = {"train/1": train, "dev1/1": near, "dev2/1": far, "test1/1": near, "test2/1": far}
    corpus = load("botocore", write({name: field_model(fields) for name, fields in models.items()}), {})
    assert {name: [e.group for e in split] for name, split in corpus.splits.items()} == {
        "train": ["train"],
        "dev": ["dev2"],
        "test": ["test2"],
    }
    assert count(corpus, "test: at most 70%") == (2, 1)


def test_records_that_read_alike_share_an_input_when_held_out(write, by_name):
    model = field_model({"BoxName": "<p>The name of the box.</p>"})
    members = {"BoxName": {"shape": "Name", "documentation": "<p>Some box name.</p>"}}
    model["shapes"]["UpdateBoxRequest"] = {"type": "structure", "members": members}
    corpus = load("botocore", write({"test/1": model, "train/1": model}), {"attributes": ["type"]})
    assert {e.references for e in corpus.splits["train"]} == {("The name of the box.",), ("Some box name.",)}
    assert corpus.splits["test"] == []  # its targets are those of train

    corpus = load("botocore", write({"test/1": model}), {"attributes": ["type"]})
    (example,) = corpus.splits["test"]
    assert example.source == "box name : type : string"
    assert set(example.references) == {"The name of the box.", "Some box name."}


def test_sizes_take_a_fixed_sample(write):
    fields = {f"Box{letters(i)}": f"<p>Box {letters(i)} of this box request.</p>" for i in range(50)}
    archives = write({"a/2020-01-01": field_model(fields)})
    whole = everything(load("botocore", archives, {}))
    assert everything(load("botocore", archives, {})) == whole
    sizes = {"train_size": 10, "dev_size": 10, "test_size": 10}
    corpus = load("botocore", archives, sizes)
    assert everything(corpus) == whole[:10]
    assert count(corpus, "train: sampled") == (50, 10)
    assert [e.id for e in whole] != sorted(e.id for e in whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 3}, "source.train: unknown option; known: kinds, attributes"),
        ({"kinds": ["fields"]}, "source.kinds: unknown value 'fields'; known: field, operation"),
        ({"kinds": "field"}, "source.kinds: 'field' is not a list"),
        ({"attributes": ["name"]}, "source.attributes: unknown value 'name'"),
        ({"target_words": [12, 4]}, r"source.target_words: \[12, 4\] is not \[fewest, most\]"),
        ({"target_words": [4]}, "source.target_words"),
        ({"train_size": "many"}, "source.train_size: 'many' is not a whole number above 0"),
        ({"dev_size": 0}, "source.dev_size"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(UserError, match=message):
        load("botocore", {}, options)


def test_a_wheel_without_models(write):
    with pytest.raises(UserError, match="holds no service models"):
        load("botocore", write({}), {})


def test_a_damaged_model(write):
    archives = write({})
    with zipfile.ZipFile(archives["botocore"], "w") as wheel:
        wheel.writestr("botocore/data/store/1/service-2.json.gz", gzip.compress(b"{}")[:-5])
    with pytest.raises(UserError, match=r"store/1/service-2\.json\.gz' is not a JSON service model"):
        load("botocore", archives, {})
