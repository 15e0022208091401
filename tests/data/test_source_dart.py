"""The DART source on small files in the authors' formats."""

import pytest
from fdistill.runtime.errors import UserError
from published_files import load, pairs


def entry(triples, *texts, shape=list):
    texts = [(f"source{n}", text) for n, text in enumerate(texts)]
    annotations = (
        [{"source": source, "text": text} for source, text in texts]
        if shape is list
        else {"source": [s for s, _ in texts], "text": [t for _, t in texts]}
    )
    return {"tripleset": triples, "subtree_was_extended": False, "annotations": annotations}


MARS = [["Mars Hill", "JOINED", "1973"], ["Mars Hill", "LOCATION", "North"]]
MARS_SOURCE = "Mars Hill : joined : 1973 | Mars Hill : location : North"
NEWBERRY = [["A", "Nick_Name", "B"]]
NEWBERRY_SOURCE = "A : nick_name : B"


@pytest.mark.parametrize("shape", [list, dict])
def test_dart_linearises_triples_and_reads_both_shapes_of_annotations(tmp_path, shape):
    entries = [
        entry(MARS, "It joined.", "Joined it has.", shape=shape),
        entry(NEWBERRY, "A is B.", shape=shape),
    ]
    corpus = load(tmp_path, "dart", ".json", entries)
    assert pairs(corpus, "train") == [
        (MARS_SOURCE, "It joined.", "Joined it has."),
        (NEWBERRY_SOURCE, "A is B."),
    ]


def test_dart_merges_equal_triples_in_test_only(tmp_path):
    entries = [
        entry(MARS, "one", "two"),
        entry(NEWBERRY, "A is B."),
        entry(MARS, "two", " ", "three", "four"),
    ]
    corpus = load(tmp_path, "dart", ".json", entries, test_references=3)
    for split in ("train", "dev"):
        assert [row[0] for row in pairs(corpus, split)] == [MARS_SOURCE, NEWBERRY_SOURCE, MARS_SOURCE]
    assert pairs(corpus, "train")[2] == (MARS_SOURCE, "two", "three", "four")  # blank ones go
    assert pairs(corpus, "test") == [(MARS_SOURCE, "one", "two", "three"), (NEWBERRY_SOURCE, "A is B.")]
    step = {"step": "test: entries with the same triples merged", "before": 3, "after": 2}
    assert step in corpus.counts
    everything = load(tmp_path, "dart", ".json", entries)
    assert pairs(everything, "test")[0] == (MARS_SOURCE, "one", "two", "three", "four")


XML = """<benchmark><entries>
<entry category="MISC" eid="Id1" size="2">
  <modifiedtripleset><mtriple>Mars Hill | JOINED | 1973</mtriple>
    <mtriple>Mars Hill | LOCATION | North</mtriple>
  </modifiedtripleset>
  <lex comment="good" lid="Id1">It joined &amp; stayed.</lex><lex comment="good" lid="Id2"/>
</entry></entries></benchmark>"""


def test_dart_xml_reads_the_same_as_json(tmp_path):
    corpus = load(tmp_path, "dart", ".json", [entry(MARS, "It joined & stayed.")], test=XML, test_suffix=".xml")
    assert pairs(corpus, "test") == pairs(corpus, "dev") == [(MARS_SOURCE, "It joined & stayed.")]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('[{"tripleset": [["a"', r"train\.json: not valid JSON"),
        ({"a": 1}, r"train\.json: not a list of entries"),
        (
            [entry(MARS, "x"), {"annotations": []}],
            r"train\.json, entry 2: no 'tripleset' \(found: annotations\)",
        ),
        ([entry([["a", "b"]], "x")], r"entry 1: 'tripleset' is not a list of \[subject, relation, object\]"),
        ([entry(MARS, None)], r"entry 1: 'annotations' is not a list of"),
        ([{"tripleset": MARS, "annotations": ["x"]}], r"entry 1: 'annotations' is not a list of"),
    ],
)
def test_dart_names_what_is_damaged(tmp_path, bad, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, "dart", ".json", bad)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (XML.removesuffix("</benchmark>"), r"test\.xml: not valid XML"),
        (XML.replace(" | JOINED", ""), "entry 1: 'tripleset' is not"),
    ],
)
def test_dart_names_what_is_damaged_in_xml(tmp_path, xml, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, "dart", ".json", [entry(MARS, "x")], test=xml, test_suffix=".xml")
