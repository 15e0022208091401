"""Question generation from SQuAD on small files in the authors' and the hub's formats; how its articles are divided."""

import json
from collections import Counter

import pytest
from fdistill.data.sources import source_module
from fdistill.data.sources.published.hub import Hub
from fdistill.runtime.errors import UserError
from published_files import load, only_from, pairs, publish, write

KIND = "squad_questions"
CONTEXT = 'The bridge, "Iron\tBridge",\nopened  in 1781.'
SOURCE = 'The bridge, "Iron Bridge", opened in 1781.; answer: 1781'


def question(text, *answers):
    return {"answers": [{"answer_start": 0, "text": answer} for answer in answers], "question": text, "id": "57"}


def article(title, *questions, context=CONTEXT):
    return {"title": title, "paragraphs": [{"context": context, "qas": list(questions)}]}


def squad(*articles):
    return {"data": list(articles), "version": "1.1"}


def hub_row(title, text, *answers, context=CONTEXT):
    texts = {"text": list(answers), "answer_start": [0] * len(answers)}
    return {"id": "57", "title": title, "context": context, "question": text, "answers": texts}


def one_file(tmp_path, content, suffix=".json", **options):
    """The corpus whose dev and test are one file, as the authors publish them."""
    train = write(tmp_path / f"train{suffix}", content)
    dev = write(tmp_path / f"dev{suffix}", content)
    return source_module(KIND).load({}, {"path": {"train": train, "dev": dev, "test": dev}, **options})


BRIDGE = article("Bridge", question(" When did it  open?", "1781", "in 1781"), question("Which year?", "1781"))


def test_a_question_is_asked_for_its_first_answer(tmp_path):
    corpus = load(tmp_path, KIND, ".json", squad(BRIDGE))
    assert pairs(corpus, "train") == [(SOURCE, "When did it open?"), (SOURCE, "Which year?")]
    assert {example.group for example in corpus.splits["train"]} == {"Bridge"}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_the_hubs_rows_read_as_the_authors(tmp_path, suffix):
    rows = [hub_row("Bridge", " When did it  open?", "1781", "in 1781"), hub_row("Bridge", "Which year?", "1781")]
    assert load(tmp_path, KIND, suffix, rows).splits == load(tmp_path, KIND, ".json", squad(BRIDGE)).splits


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path):
    text = "\ufeff" + json.dumps(squad(BRIDGE), indent=1).replace("\n", "\r\n")
    assert pairs(load(tmp_path, KIND, ".json", text), "test")[0] == (SOURCE, "When did it open?")


# ---- one public split for dev and test

ARTICLES = squad(*(article(f"A{n}", *(question(f"{n}, {i}?", "1781") for i in range(n + 1))) for n in range(9)))


@pytest.mark.parametrize("dev_size", [1, 7, 20])
def test_dev_and_test_share_no_article_and_lose_no_question(tmp_path, dev_size):
    corpus = one_file(tmp_path, ARTICLES, dev_size=dev_size)
    groups = {split: Counter(example.group for example in corpus.splits[split]) for split in ("dev", "test")}
    assert not groups["dev"].keys() & groups["test"].keys()
    assert groups["dev"] + groups["test"] == Counter({f"A{n}": n + 1 for n in range(9)})
    size = groups["dev"].total()
    assert size >= dev_size and any(size - count < dev_size for count in groups["dev"].values())
    assert len(corpus.splits["train"]) == 45
    ids = [example.id for split in corpus.splits for example in corpus.splits[split]]
    assert len(set(ids)) == len(ids)
    step = {"step": "dev: its articles of the public development split", "before": 45, "after": size}
    assert step in corpus.counts and corpus.split_rule.endswith("divided into dev and test by article")


def test_one_file_is_divided_however_its_two_names_are_spelt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "all.json", ARTICLES)
    (tmp_path / "link.json").symlink_to("all.json")
    for other in (f"../{tmp_path.name}/all.json", str(tmp_path / "all.json"), "./all.json", "link.json"):
        path = {"train": "all.json", "dev": "all.json", "test": other}
        corpus = source_module(KIND).load({}, {"path": path, "dev_size": 7})
        assert len(corpus.splits["dev"]) + len(corpus.splits["test"]) == 45
        assert corpus.split_rule == "as given; the development split is divided into dev and test by article"


def test_a_division_that_leaves_nothing_for_test_is_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"source\.dev_size: 1,570 leaves no article for test \(.* 45 questions about 9"
    ):
        one_file(tmp_path, ARTICLES)


def test_the_division_depends_on_the_articles_alone(tmp_path):
    def dev_of(*articles):
        corpus = one_file(tmp_path, squad(*articles), dev_size=20)
        return {example.group for example in corpus.splits["dev"]}

    assert dev_of(*ARTICLES["data"]) == dev_of(*reversed(ARTICLES["data"]))


def test_files_of_their_own_for_dev_and_test_are_taken_as_they_are(tmp_path):
    corpus = load(tmp_path, KIND, ".json", ARTICLES, dev=squad(BRIDGE), dev_size=1)
    assert [len(corpus.splits[split]) for split in ("train", "dev", "test")] == [45, 2, 45]
    assert corpus.split_rule == "as given"


def test_counts_are_those_of_the_published_splits(tmp_path):
    one_file(tmp_path, ARTICLES, dev_size=7, expected_counts={"train": 45, "dev": 45, "test": 45})
    with pytest.raises(UserError, match="dev has 45 examples, not 38"):
        one_file(tmp_path, ARTICLES, dev_size=7, expected_counts={"train": 45, "dev": 38, "test": 7})


def test_the_hub_has_no_test_split(monkeypatch, tmp_path):
    place = next(place for place in source_module(KIND).DATASET.places if isinstance(place, Hub))
    rows = [hub_row(f"A{n}", f"{n}?", "1781") for n in range(9)]
    published = publish(monkeypatch, tmp_path, place, rows, ("train", "validation"))
    corpus = only_from(monkeypatch, KIND, published).load({}, {"dev_size": 3})
    assert [len(corpus.splits[split]) for split in ("train", "dev", "test")] == [9, 3, 6]


def test_a_hub_with_a_test_split_is_another_data_set(monkeypatch, tmp_path):
    place = source_module(KIND).DATASET.places[0]
    published = publish(monkeypatch, tmp_path, place, [hub_row("A", "?", "1781")])
    with pytest.raises(UserError, match="its splits are train, validation, test, not train and validation"):
        only_from(monkeypatch, KIND, published).load({}, {})


# ---- damage


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([BRIDGE], r"train\.json: no 'data' \(found: no columns\)"),
        ({"data": {}}, r"train\.json: 'data' is not a list; give a file of SQuAD 1\.1, such as dev-v1\.1\.json"),
        (squad({"title": "A", "paragraphs": 1}), r"train\.json, article 1: 'paragraphs' is not a list"),
        (squad({"paragraphs": [{"context": "c", "qas": [{}]}]}), r"article 1: no 'title' \(found: paragraphs\)"),
        (squad(BRIDGE, article("B", "text")), r"article 2, paragraph 1, question 1: no 'answers'"),
        (squad(article("B", question("q"))), r"question 1: 'answers' is not a list with an answer, .*SQuAD 1\.1"),
        (squad(article("B", question("q", None))), r"question 1: 'answers' is not a list of \{text, answer_start\}"),
        (squad(article("B", question(None, "a"))), "question 1: 'question' is not text"),
        (squad(article("B", question("q", "a"), context=7)), "question 1: 'context' is not text"),
        (json.dumps(squad(BRIDGE))[:-9], r"train\.json: not valid JSON"),
    ],
)
def test_what_is_damaged_is_named(tmp_path, bad, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, KIND, ".json", bad)


def test_a_question_that_is_blank_is_left_out(tmp_path):
    corpus = load(tmp_path, KIND, ".json", squad(article("B", question(" ", "1781"), question("When?", "1781"))))
    assert pairs(corpus, "train") == [(SOURCE, "When?")]
