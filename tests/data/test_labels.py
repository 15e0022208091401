"""Labels that exist already: every format, several labels of an input, and what is refused by name."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
import tiny
from fdistill.data.encoding import encode_labels
from fdistill.data.labels import label_file, read_label_file, read_labels, write_labels
from fdistill.data.limits import Limits
from fdistill.losses.inputs import IGNORE
from fdistill.models.tokenization import decode
from fdistill.runtime.errors import UserError
from pyarrow import parquet

ROWS = [("b", "a b"), ("a", "c"), ("b", "d"), ("c", "not used")]
KNOWN = ["a", "b", "c"]
SPLIT = Path("res/t.parquet")


def write(folder, suffix, rows=ROWS):
    file = folder / f"labels{suffix}"
    if suffix == ".jsonl":
        file.write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in rows))
    elif suffix == ".parquet":
        parquet.write_table(pa.table({"id": [i for i, _ in rows], "text": [t for _, t in rows]}), file)
    else:
        mark = "," if suffix == ".csv" else "\t"
        file.write_text(f"id{mark}text\n" + "".join(f"{i}{mark}{t}\n" for i, t in rows))
    return str(file)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_labels_come_in_the_order_of_the_inputs_and_of_the_file(tmp_path, suffix):
    columns = read_label_file(write(tmp_path, suffix), ["a", "b"], KNOWN, SPLIT)
    assert columns["id"] == ["a", "b", "b"] and columns["sample"] == [0, 0, 1]
    assert columns["text"] == ["c", "a b", "d"]
    write_labels(tmp_path / "stored.parquet", columns, {"labels": "x"})
    assert read_labels(tmp_path / "stored.parquet", ["a", "b"], SPLIT) == (columns, {"labels": "x"})


@pytest.mark.parametrize(
    ("rows", "known", "words"),
    [
        (
            ROWS[:1],
            KNOWN,
            r"has no label for 1 of 2 inputs \('a'\); its column 'id' must have the ids of res/t\.parquet,",
        ),
        (ROWS, ["a", "b"], r"labels 1 inputs that the training split does not have \('c'\)"),
        (
            [("x", "1"), ("y", "1"), ("z", "1"), ("w", "1")],
            KNOWN,
            r"no label for 2 of 2 inputs \('a', 'b'\) and labels 4 inputs .* \('x', 'y', 'z', \.\.\.\)",
        ),
    ],
)
def test_labels_that_miss_inputs_or_name_unknown_ones_are_refused(tmp_path, rows, known, words):
    with pytest.raises(UserError, match=words):
        read_label_file(write(tmp_path, ".csv", rows), ["a", "b"], known, SPLIT)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("text", ["", " ", "\u00a0"])
def test_a_blank_label_is_refused_with_its_row(tmp_path, suffix, text):
    file = write(tmp_path, suffix, [*ROWS, ("a", text)])
    with pytest.raises(UserError, match=r"labels.*, [a-z]+ [56]: 'text' is blank; write the label, or remove the row"):
        read_label_file(file, ["a", "b"], KNOWN, SPLIT)


def test_a_file_that_does_not_exist_or_has_no_text_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no such file; correct other_teacher\.labels"):
        read_label_file(str(tmp_path / "none.csv"), ["a"], KNOWN, SPLIT)
    (tmp_path / "bare.csv").write_text("id,label\na,b\n")
    with pytest.raises(UserError, match="no 'text'"):
        read_label_file(str(tmp_path / "bare.csv"), ["a"], KNOWN, SPLIT)
    with pytest.raises(UserError, match=r"ends in none of .*\.jsonl"):
        label_file("labels.source")


def test_labels_are_encoded_as_targets_and_cut(caplog):
    tokenizer = tiny.tokenizer("bart")
    caplog.set_level("INFO")
    short, long = encode_labels(["a\nb", "a b c d e f g h"], tokenizer, Limits(9, 4, one_line_targets=True), "labels")
    assert decode(tokenizer, [short, long]) == ["a b", "a b c"]
    assert short[-1] == long[-1] == tokenizer.eos_token_id and len(long) == 4 and IGNORE not in long
    assert "labels: 1 of 2 labels cut to 4 tokens" in caplog.text and "blank" not in caplog.text


def test_blank_labels_of_a_teacher_are_counted(caplog):
    tokenizer = tiny.tokenizer("bart")
    tokens = encode_labels(["", "a", " "], tokenizer, Limits(9, 4), "labels")
    assert tokens[0] == tokens[2] == [tokenizer.eos_token_id]
    assert "labels: 2 of 3 labels are blank" in caplog.text
