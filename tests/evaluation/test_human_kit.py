"""The kit of a human evaluation: what annotators get does not say which system wrote what, and the key does."""

import csv
import io
import json
import re
from collections import Counter
from html.parser import HTMLParser

import human_cases as cases
import pytest
from chain import run
from fdistill.artifacts.files import read_json
from fdistill.evaluation.human.kit import EMPTY, read_key
from fdistill.evaluation.human.ratings import read_ratings
from fdistill.evaluation.tables.page import render
from fdistill.runtime.errors import UserError


def test_every_system_has_one_text_for_each_input(tmp_path):
    key = cases.key_of(tmp_path)
    found = Counter((item["id"], system) for item in key["items"] for system in item["systems"])
    assert found == {(f"secret-id-{i}", system): 1 for i in range(len(cases.HOSTILE)) for system in cases.SYSTEMS}
    for system, texts in cases.outputs().items():
        for i, text in enumerate(texts):
            [item] = [it for it in key["items"] if it["id"] == f"secret-id-{i}" and system in it["systems"]]
            assert item["output"] == (re.sub("[\u2028\u202e]", "\ufffd", text).strip() or EMPTY)


def test_equal_outputs_are_one_text(tmp_path):
    key = cases.key_of(tmp_path, {"a": ["x", "x", "x"], "b": ["x", "y ", "z"], "c": ["x", "y", "x"]})
    assert sorted(sorted(item["systems"]) for item in key["items"]) == [
        ["a"],
        ["a", "b", "c"],
        ["a", "c"],
        ["b"],
        ["b", "c"],
    ]
    assert [item["item"] for item in key["items"]] in (  # letters within an input, without gaps
        ["Q1-A", "Q2-A", "Q2-B", "Q3-A", "Q3-B"],
        ["Q1-A", "Q1-B", "Q2-A", "Q3-A", "Q3-B"],
        ["Q1-A", "Q1-B", "Q2-A", "Q2-B", "Q3-A"],
    )


def test_order_is_random_and_decided_by_the_seed(tmp_path):
    texts = {system: [f"{system} {i}" for i in range(60)] for system in "abc"}
    key = cases.key_of(tmp_path, texts)
    assert key == cases.key_of(tmp_path, texts)
    other = cases.key_of(tmp_path, texts, seed=1)
    assert other["kit"] != key["kit"]
    for chosen in (key, other):
        inputs = list(dict.fromkeys(item["id"] for item in chosen["items"]))
        assert len(inputs) == 50 and inputs != sorted(inputs, key=lambda name: int(name.split("-")[-1]))
        first = Counter(item["systems"][0] for item in chosen["items"] if item["item"].endswith("-A"))
        assert min(first[system] for system in "abc") > 8  # of 50; each with a chance of a third


def test_as_many_systems_as_letters(tmp_path):
    texts = {f"s{i}": [f"text {i}"] for i in range(27)}
    with pytest.raises(ValueError):
        cases.key_of(tmp_path, texts)
    del texts["s26"]
    assert [item["item"] for item in cases.key_of(tmp_path, texts)["items"]][::25] == ["Q1-A", "Q1-Z"]


def test_fewer_inputs_are_sampled(tmp_path):
    assert len({item["id"] for item in cases.key_of(tmp_path, inputs=3)["items"]}) == 3


class Texts(HTMLParser):
    """The text of each script of a page, and its other text."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.other, self.inside = [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        assert not {"src", "href", "srcset", "action"} & {name for name, _ in attributes}, "loads something"
        self.inside = tag == "script"
        self.scripts += [""] * self.inside

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data
        else:
            self.other += data


def test_what_annotators_get_is_blind(tmp_path):
    """No file for annotators has a system's name, an input's id, a reference, or a hash of what only the key has."""
    key = cases.kit(tmp_path)
    for name in ("annotate.html", "annotate.csv"):
        text = (tmp_path / name).read_bytes().decode()
        assert not re.search("secret-id|a reference|seqkd|tvd|lineage|systems", text, re.IGNORECASE), name
        assert re.findall(r"\bjs\b", text) == [] and key["kit"] in text
    shown = json.loads(Texts((tmp_path / "annotate.html").read_text()).scripts[0])
    assert set(shown) == {"kit", "task", "title", "scale", "aspects", "inputs"}
    assert {frozenset(output) for one in shown["inputs"] for output in one["outputs"]} == {frozenset({"item", "text"})}


def test_texts_of_any_kind_do_not_leave_the_pages_data(tmp_path):
    key = cases.kit(tmp_path)
    text = (tmp_path / "annotate.html").read_text()
    found = Texts(text)
    assert len(found.scripts) == 2 and "alert" not in found.scripts[1] + found.other
    assert not re.search("[\u2028\u202e]", text) and "Colours &amp; shapes" in text
    shown = json.loads(found.scripts[0])
    texts = {output["item"]: output["text"] for one in shown["inputs"] for output in one["outputs"]}
    assert texts == {item["item"]: item["output"] for item in key["items"]}
    line_separator = {
        "kit": "k",
        "task": "t",
        "title": "\u2028",
        "scale": 5,
        "aspects": [],
        "inputs": ["\u2028</script>"],
    }
    assert "\\u2028\\u003c/script" in render("human_page", kit=line_separator)


def test_no_cell_of_the_csv_is_a_formula(tmp_path):
    key = cases.kit(tmp_path)
    content = (tmp_path / "annotate.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")  # without it, Excel does not read UTF-8
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    outputs = {item["item"]: item["output"] for item in key["items"]}
    assert [row["item"] for row in rows] == list(outputs)
    assert {row["output"] for row in rows if outputs[row["item"]] == "=1+1"} == {"'=1+1"}
    assert not [cell for row in rows for cell in row.values() if re.match("[=+@-]", cell)]
    assert next(heading for heading in rows[0] if ": " in heading) == (
        "Fluency: Is the text natural, grammatical language? 1 = not fluent at all, 5 = perfectly fluent"
    )


def test_headers_are_one_line_each_and_no_formula_however_the_aspects_are_written(tmp_path):
    """Tables have headers of one line; the questions of a YAML block have several."""
    words = {"question": "Is it\nfluent?\n", "lowest": "not\tat all", "highest": "quite\n\nso"}
    aspects = [{"title": title, "better": "higher"} | words for title in ("Fluency\nof it", "=Style")]
    key = cases.kit(tmp_path, cases.key_of(tmp_path / "outputs", aspects=aspects))
    rows = [[*row[:3], "4", "2", row[-1]] for row in cases.kit_rows(tmp_path)]
    rows[0][3:5] = [f"{title}: Is it fluent? 1 = not at all, 5 = quite so" for title in ("Fluency of it", "'=Style")]
    assert rows[0] == cases.kit_rows(tmp_path)[0]
    read = read_ratings([cases.write_csv(tmp_path / "ana.csv", rows)], key)
    assert read.values.tolist() == [[[4, 2]] * len(key["items"])]


def test_a_key_whose_ratings_are_there_is_not_replaced(tmp_path):
    key = cases.kit(tmp_path)
    other = cases.key_of(tmp_path / "outputs", seed=1)
    (tmp_path / "ratings").mkdir()
    (tmp_path / "ratings/.DS_Store").touch()
    cases.kit(tmp_path, other)  # nobody has rated anything
    cases.kit(tmp_path, key)
    cases.write_export(tmp_path / "ratings/ana.json", cases.export(key))
    with pytest.raises(UserError, match=f"is the key of {key['kit']}, of which .*ratings has ratings; another kit"):
        cases.kit(tmp_path, other)
    assert read_key(tmp_path / "key.json") == key
    cases.kit(tmp_path, key)  # the same again changes nothing


def test_a_changed_key_is_refused(tmp_path):
    key = cases.kit(tmp_path)
    key["items"][0]["systems"], key["items"][1]["systems"] = key["items"][1]["systems"], key["items"][0]["systems"]
    (tmp_path / "key.json").write_text(json.dumps(key))
    with pytest.raises(UserError, match=r"key.json: was changed after \"kit-"):
        read_key(tmp_path / "key.json")


def test_script_checks_what_it_is_given(tmp_path, capsys):
    """Outputs of another system, and aspects as a task's are checked."""
    test, generations = cases.write_outputs(tmp_path)
    given = [f"{system}={path}" for system, path in generations.items()]
    paths = [part for name, path in cases.kit_paths(tmp_path).items() for part in (f"--{name}", path)]
    command = ["human", "kit", "--test", test, "--task", "colours", *paths, "--generations"]
    swapped = [given[0], given[1].replace("js=", "tvd="), given[2].replace("tvd=", "js=")]
    assert "belongs to another method than this run (js, not tvd)" in run(*command, *swapped, fails=True)
    assert not (tmp_path / "key.json").exists()
    aspects = json.dumps([*cases.ASPECTS, cases.ASPECTS[0]])
    assert run(*command, *given, "--aspects", aspects, fails=True) == "2"
    assert "[3].title: 'Fluency' is the title of another aspect too" in capsys.readouterr().err
    for systems in (given[:1], [given[0], given[0], given[1]], [f"s{i}={test}" for i in range(27)]):
        message = run(*command, *systems, fails=True)
        assert message.startswith("error: --generations: [") and "at least 2; at most 26; no duplicates" in message
    assert not (tmp_path / "key.json").exists()
    run(*command, *given)
    assert read_json(tmp_path / "key.json")["systems"] == list(cases.SYSTEMS)
