"""The paper's dialogue, summary and translation data on small local files; expected counts and options."""

import pytest
from fdistill.data.sources import SOURCES, source_module
from fdistill.data.sources.dialogue import TURN_SEPARATOR as SEP
from fdistill.data.sources.published.dataset import PublishedOptions, finish
from fdistill.data.sources.published.wmt16 import sample
from fdistill.runtime.errors import UserError
from published_files import PAIR, load, pairs

# ---- Commonsense Dialogue


def test_every_turn_is_a_target_and_the_first_one_follows_the_context(tmp_path):
    dialogue = {"context": "Robin  won. ", "speaker": "Robin", "turns": ["I won!", "How  much?", "A lot."]}
    corpus = load(tmp_path, "commonsense_dialogues", ".json", {"7": dialogue, "8": dialogue})
    assert pairs(corpus, "test")[:3] == [
        (f"Robin won.{SEP}", "I won!"),
        (f"Robin won.{SEP}I won!{SEP}", "How much?"),
        (f"Robin won.{SEP}I won!{SEP}How much?{SEP}", "A lot."),
    ]
    assert [example.group for example in corpus.splits["test"]] == ["test/0"] * 3 + ["test/1"] * 3


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "not a mapping of dialogues"),
        (
            {"7": {"context": "c", "turns": "text"}},
            r"train\.json, dialogue '7': 'turns' is not a list of texts",
        ),
        ({"7": {"turns": ["a"]}}, "dialogue '7': no 'context'"),
        ({"7": "text"}, r"dialogue '7': no 'turns' \(found: no columns\)"),
    ],
)
def test_dialogues_name_what_is_damaged(tmp_path, bad, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, "commonsense_dialogues", ".json", bad)


# ---- XSum, WMT16, and local files


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_xsum_reads_articles_onto_one_line(tmp_path, suffix):
    corpus = load(tmp_path, "xsum", suffix, [PAIR, {"document": " ", "summary": "Blank."}])
    assert pairs(corpus, "dev") == [("A long story.", "Short.")]
    assert {"step": "dev: source and reference not blank", "before": 2, "after": 1} in corpus.counts
    assert [origin["package"] for origin in corpus.origins] == [f"{s}{suffix}" for s in ("train", "dev", "test")]


@pytest.mark.parametrize("kind", [kind for kind in SOURCES if hasattr(source_module(kind), "DATASET")])
def test_line_pairs_are_examples_as_they_are(tmp_path, kind):
    rows = [{"source": "a : b : c", "target": "It joined."}, {"source": "d", "target": "E."}]
    assert pairs(load(tmp_path, kind, ".source", rows), "test") == [("a : b : c", "It joined."), ("d", "E.")]


def test_wmt16_takes_tables_with_a_column_per_language(tmp_path):
    corpus = load(tmp_path, "wmt16", ".tsv", [{"en": "one", "ro": "unu"}])
    assert pairs(corpus, "train") == [("one", "unu")]


@pytest.mark.parametrize(
    ("suffix", "bad", "message"),
    [
        (".jsonl", [PAIR, {"text": "a"}], r"train\.jsonl, line 2: no 'document' \(found: text\); rename"),
        (".jsonl", [{"document": None, "summary": "b"}], "line 1: 'document' is not text"),
        (".parquet", [{"article": "a", "summary": "b"}], r"train\.parquet, row 1: no 'document'"),
        (".csv", [{"article": "a", "summary": "b"}], r"train\.csv, line 2: no 'document' \(found: article, summary\)"),
        (
            ".txt",
            "a",
            r"source\.path\.train: .*train\.txt' ends in none of \.jsonl, \.ndjson, \.csv, \.tsv, \.parquet, \.source",
        ),
    ],
)
def test_other_columns_and_formats_are_named(tmp_path, suffix, bad, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, "xsum", suffix, bad)


def test_a_missing_local_file_is_named(tmp_path):
    paths = {split: str(tmp_path / f"{split}.source") for split in ("train", "dev", "test")}
    with pytest.raises(UserError, match=r"source\.path: no such file '.*train\.source' .*correct the path"):
        source_module("xsum").load({}, {"path": paths})


def translations(count):
    return [{"translation": {"en": f"one {n}", "ro": f"unu {n}" if n % 5 else " "}} for n in range(count)]


def test_wmt16_samples_by_seed_without_blanks_and_records_the_rows(tmp_path):
    first, again, other = (
        load(tmp_path, "wmt16", ".jsonl", translations(50), translations(4), train_size=20, sample_seed=seed)
        for seed in (1, 1, 2)
    )
    sampled = [example.id for example in first.splits["train"]]
    assert first == again and sampled != [example.id for example in other.splits["train"]]
    assert len(sampled) == 20 and sampled == sorted(sampled, key=lambda id: int(id.removeprefix("train/")))
    rows = [int(example.id.removeprefix("train/")) for example in first.splits["train"]]
    assert pairs(first, "train") == [(f"one {n}", f"unu {n}") for n in rows]
    assert [len(first.splits[split]) for split in ("dev", "test")] == [3, 40]


def test_a_larger_sample_contains_the_smaller_one():
    module = source_module("wmt16")
    corpus = module.Corpus({}, "")
    examples = [module.Example(f"train/{n}", "", "a", ("b",)) for n in range(60)]
    small, large = ({one.id for one in sample(examples, module.Options(train_size=n), corpus)} for n in (10, 30))
    assert small < large and len(large) == 30


# ---- counts and options


def test_expected_counts_stop_the_run_with_both_numbers(tmp_path):
    counts = {"train": 2, "dev": 30526, "test": 1}
    with pytest.raises(UserError, match=r"dev has 2 examples, not 30,526; test has 2 examples, not 1\. .*null"):
        load(tmp_path, "xsum", ".jsonl", [PAIR] * 2, expected_counts=counts)
    load(tmp_path, "xsum", ".jsonl", [PAIR] * 2, expected_counts=dict.fromkeys(counts, 2))
    load(tmp_path, "xsum", ".jsonl", [PAIR] * 2, expected_counts=None)


def test_blank_examples_count_and_are_then_left_out(tmp_path):
    rows = [PAIR, {"document": "a", "summary": ""}]
    corpus = load(tmp_path, "xsum", ".jsonl", rows, expected_counts={"train": 2, "dev": 2, "test": 2})
    assert len(corpus.splits["train"]) == 1


def test_counts_are_checked_before_blanks_go():
    module = source_module("xsum")
    blank = module.Example("1", "1", "", ("",))
    corpus = module.Corpus({split: [blank] for split in ("train", "dev", "test")}, "")
    assert finish(corpus, {"train": 1, "dev": 1, "test": 1}).splits["train"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"path": {"train": "a", "dev": "b"}},
            r"source\.path: .* must have a file for each of train, dev, test, and nothing else",
        ),
        (
            {"path": {"train": "a.csv", "dev": "b.csv", "test": "c.csv", "unseen": "d.csv"}},
            r"source\.path: .*unseen.* must have a file for each of train, dev, test, and nothing else",
        ),
        ({"path": "folder"}, r"source\.path: 'folder' is not a mapping"),
        (
            {"expected_counts": {"train": 1, "dev": 2, "test": "3"}},
            "must have a whole number for each of",
        ),
        ({"paths": {}}, r"source\.paths: unknown option; known: path, expected_counts"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        source_module("xsum").load({}, options)


def test_null_path_is_the_hub():
    assert not PublishedOptions(path=None).path and not PublishedOptions().path


# ---- what is said of the splits

PUBLISHED = [kind for kind, module in SOURCES.items() if module.startswith("published.")]
DONE_HERE = {
    "art": "; rows of dev and test with the same observations are one example",
    "dart": "; test entries with the same triples are one input",
}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_local_files_are_not_said_to_be_split_as_published(tmp_path, kind):
    corpus = load(tmp_path, kind, ".source", [{"source": "a", "target": "b"}])
    assert corpus.split_rule == "as given" + DONE_HERE.get(kind, "")


def test_a_sample_is_said_to_be_one(tmp_path):
    corpus = load(tmp_path, "wmt16", ".source", [{"source": "a", "target": "b"}], train_size=1)
    assert corpus.split_rule == "as given; train is a seeded sample"
