"""The corpus of API records: filters, splits by service and options, on made-up service models."""

import pytest
from botocore_wheels import everything, field_model, write_wheel
from fdistill.data.sources import load
from fdistill.data.sources.embedded import botocore
from fdistill.data.sources.embedded.botocore import support
from fdistill.runtime.errors import UserError


def count(corpus, step: str) -> tuple[int, int]:
    """The records before and after a filter."""
    (entry,) = [entry for entry in corpus.counts if step in entry["step"]]
    return entry["before"], entry["after"]


def test_support_is_the_share_of_content_words_by_stem():
    source = "policy names : owner : create box request | policy names : type : string"
    assert support("The names of the policies.", source) == 1
    assert support("The created box is heavy.", source) == pytest.approx(2 / 3)  # created, box; heavy is not there
    assert support("The heavy lid.", source) == 0
    assert support("This is it.", source) == 0  # no content word at all


def test_a_target_whose_words_are_not_in_its_record_is_dropped(tmp_path):
    fields = {
        "BoxName": "<p>The name of something heavy made elsewhere.</p>",
        "BoxSize": "<p>The size of it.</p>",
    }
    corpus = load("botocore", write_wheel(tmp_path, {"store/2020-01-01": field_model(fields)}), {})
    assert [e.references[0] for e in everything(corpus)] == ["The size of it."]
    assert count(corpus, "content words") == (2, 1)


@pytest.mark.parametrize("text", ["the box name.", "The box name", "The box <name> name.", "The box name.."])
def test_what_is_not_a_sentence_is_dropped(tmp_path, text):
    model = field_model({"BoxName": f"<p>{text}</p>"[:-4]})
    corpus = load("botocore", write_wheel(tmp_path, {"store/2020-01-01": model}), {})
    kept = text == "The box <name> name."  # an unknown tag is mark-up like any other
    assert len(everything(corpus)) == kept


def test_target_words_bound_the_target(tmp_path):
    fields = {
        "BoxName": "<p>The box name.</p>",
        "BoxSize": "<p>The size of the box.</p>",
        "Box": "<p>The box.</p>",
    }
    archives = write_wheel(tmp_path, {"store/2020-01-01": field_model(fields)})
    examples = everything(load("botocore", archives, {"target_words": [3, 4]}))
    assert [e.references[0] for e in examples] == ["The box name."]


def test_a_sentence_that_a_service_repeats_for_a_name_counts_once(tmp_path):
    model = field_model({"BoxName": "<p>The name of the box.</p>"})
    model["shapes"]["UpdateBoxRequest"] = model["shapes"]["CreateBoxRequest"]
    corpus = load("botocore", write_wheel(tmp_path, {"store/1": model, "other/1": model}), {})
    assert sorted(e.group for e in everything(corpus)) == ["other", "store"]
    assert count(corpus, "one record per name") == (4, 2)


def letters(number: int) -> str:
    """A word of its own for every number, without digits."""
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:04d}").title()


def test_opening_four_words_and_service_are_capped(tmp_path):
    same = {f"Box{letters(i)}": f"<p>The name of the box {letters(i)}.</p>" for i in range(200)}
    corpus = load("botocore", write_wheel(tmp_path, {"store/2020-01-01": field_model(same)}), {})
    assert count(corpus, "opening four words") == (200, 150)

    other = {f"Box{letters(i)}": f"<p>Box {letters(i)} of this box request.</p>" for i in range(500)}
    corpus = load("botocore", write_wheel(tmp_path, {"store/2020-01-01": field_model(other)}), {})
    assert count(corpus, "opening four words") == (500, 500)
    assert count(corpus, "service, at most") == (500, 400)


def test_services_are_not_cut_and_every_split_has_its_share(tmp_path):
    models = {
        f"service{i}/2020-01-01": field_model(
            {f"Box{letters(i)}{letters(j)}": f"<p>Box {letters(i)} {letters(j)}.</p>" for j in range(3)}
        )
        for i in range(300)
    }
    corpus = load("botocore", write_wheel(tmp_path, models), {})
    groups = {name: {e.group for e in split} for name, split in corpus.splits.items()}
    assert sum(map(len, groups.values())) == len(set.union(*groups.values())) == 300
    assert [len(groups[name]) for name in ("train", "dev", "test")] == pytest.approx([255, 15, 30], abs=15)
    assert len({e.id for e in everything(corpus)}) == len(everything(corpus))


@pytest.fixture
def by_name(monkeypatch):
    """Puts services into the split that their names begin with."""
    places = {"dev": 0.01, "test": 0.1}
    monkeypatch.setattr(botocore, "position", lambda service: places.get(service.rstrip("0123456789"), 0.9))


def test_held_out_targets_that_training_nearly_contains_are_dropped(tmp_path, by_name):
    # 4-grams of the test targets: 5 of 6 are in the training target; 4 of 6 are
    train = {"Box": "<p>The box name that the box owner gave it.</p>"}
    near = {"Box": "<p>The box name that the box owner gave box.</p>"}
    far = {"Box": "<p>The box name that the box owner box box.</p>"}
    models = {"train/1": train, "dev1/1": near, "dev2/1": far, "test1/1": near, "test2/1": far}
    corpus = load("botocore", write_wheel(tmp_path, {name: field_model(fields) for name, fields in models.items()}), {})
    assert {name: [e.group for e in split] for name, split in corpus.splits.items()} == {
        "train": ["train"],
        "dev": ["dev2"],
        "test": ["test2"],
    }
    assert count(corpus, "test: at most 70%") == (2, 1)


def test_records_with_a_word_that_too_few_training_records_hold_are_dropped(tmp_path, by_name):
    known = {name: f"<p>The {name} of the box request.</p>" for name in ("colour", "size")}
    models = {
        "train1/1": field_model(known | {"lid": "<p>The lid of the box request.</p>"}),
        "train2/1": field_model(known),
        # each with one word, in the sentence or in the record, that at most one training record holds
        "dev/1": field_model({"size": "<p>The whole size of the box request.</p>", "colour": "<p>The box colour.</p>"}),
        "test/1": field_model({"label": "<p>The colour of the box label.</p>", "size": "<p>The box size.</p>"}),
    }
    archives = write_wheel(tmp_path, models)
    options = {"attributes": ["owner"], "min_word_records": 2}
    corpus = load("botocore", archives, options)
    assert {name: sorted(e.references[0] for e in split) for name, split in corpus.splits.items()} == {
        "train": sorted(2 * [f"The {name} of the box request." for name in known]),
        "dev": ["The box colour."],
        "test": ["The box size."],
    }
    assert count(corpus, "train: each word in 2 of") == (5, 4)
    assert count(corpus, "test: each word in 2 of") == (2, 1)
    assert len(everything(load("botocore", archives, options | {"min_word_records": 1}))) == 7  # without label, whole


def test_words_are_counted_before_any_record_is_dropped(tmp_path, by_name):
    """`size` and `lid` are in two records each, of which the one that has both goes for its word `steel`."""
    fields = {"size": "<p>The size.</p>", "lid": "<p>The lid.</p>", "SizeLid": "<p>The size lid steel.</p>"}
    model = field_model(fields)
    models = {"train1/1": model, "dev/1": field_model({"size": "<p>A size.</p>"})}
    options = {"attributes": ["owner"], "min_word_records": 2, "target_words": [2, 9]}
    corpus = load("botocore", write_wheel(tmp_path, models), options)
    assert sorted(e.references[0] for e in corpus.splits["train"]) == ["The lid.", "The size."]


def test_records_that_read_alike_share_an_input_when_held_out(tmp_path, by_name):
    model = field_model({"BoxName": "<p>The name of the box.</p>"})
    members = {"BoxName": {"shape": "Name", "documentation": "<p>Some box name.</p>"}}
    model["shapes"]["UpdateBoxRequest"] = {"type": "structure", "members": members}
    corpus = load("botocore", write_wheel(tmp_path, {"test/1": model, "train/1": model}), {"attributes": ["type"]})
    assert {e.references for e in corpus.splits["train"]} == {("The name of the box.",), ("Some box name.",)}
    assert corpus.splits["test"] == []  # its targets are those of train

    corpus = load("botocore", write_wheel(tmp_path, {"test/1": model}), {"attributes": ["type"]})
    (example,) = corpus.splits["test"]
    assert example.source == "box name : type : string"
    assert set(example.references) == {"The name of the box.", "Some box name."}


def test_sizes_take_a_fixed_sample(tmp_path):
    fields = {f"Box{letters(i)}": f"<p>Box {letters(i)} of this box request.</p>" for i in range(50)}
    archives = write_wheel(tmp_path, {"a/2020-01-01": field_model(fields)})
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
        (
            {"target_words": [12, 4]},
            r"source.target_words: \[12, 4\] is not \[fewest, most\], two whole numbers in this order",
        ),
        ({"target_words": [4]}, r"source.target_words: \[4\] is not \[fewest, most\], two whole numbers"),
        ({"target_words": [4, "b"]}, r"source.target_words: \[4, 'b'\] is not \[fewest, most\], two whole numbers"),
        ({"train_size": "many"}, "source.train_size: 'many' is not a whole number above 0"),
        ({"dev_size": 0}, "source.dev_size"),
        ({"min_word_records": 0}, "source.min_word_records: 0 is not a whole number above 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(UserError, match=message):
        load("botocore", {}, options)
