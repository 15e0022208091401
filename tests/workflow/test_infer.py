"""A trained model used by `infer.py`: its outputs are those that `generate` wrote, in every format of the input."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chain import METHOD, TEXT, Study, run
from snake import ROOT

DECODING = ["--max-new-tokens", "8"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study with the student's exported folder."""
    study = Study(tmp_path_factory.mktemp("study"))
    study.prepare()
    for stage in (
        "finetune_teacher",
        "sample_teacher",
        "sample_teacher test",
        "init_student",
        "distill",
        "generate",
        "score",
    ):
        run(*study.command(stage))
    study.export = study.student.parent / "export"
    run(*export_command(study))
    return study


def export_command(study, *changes):
    inputs = ["--model", study.student, "--teacher", study.teacher, "--data", study.manifest, "--score", study.score]
    names = ["--task", study.task, "--method", METHOD, "--seed", study.seed]
    return ["export", *inputs, "--folder", study.export, *names, *TEXT, *DECODING, *changes]


def infer(study, path, *arguments, fails=False):
    """The lines that `infer.py` writes for a file."""
    output = path.with_name("output.jsonl")
    said = run("infer", study.export, "--input", path, "--output", output, "--device", "cpu", *arguments, fails=fails)
    return said if fails else [json.loads(line) for line in output.read_text().splitlines()]


@pytest.fixture
def sources(study):
    return pq.read_table(study.test).to_pydict()["source"]


@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "jsonl", "parquet"])
def test_outputs_are_those_of_generate(study, sources, kind, tmp_path):
    rows = {
        "txt": sources,
        "csv": ["id,source", *(f"{i},{source}" for i, source in enumerate(sources))],
        "tsv": ["source", *sources],
        "jsonl": [json.dumps({"source": source}) for source in sources],
    }
    path = tmp_path / f"sources.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"source": sources}), path)
    else:
        path.write_text("".join(f"{row}\n" for row in rows[kind]))
    lines = infer(study, path)
    generated = pq.read_table(study.generations).to_pydict()
    assert [line["output"] for line in lines] == generated["hypothesis"] and any(generated["hypothesis"])
    assert [line["finished"] for line in lines] == generated["finished"]
    assert [line["source"] for line in lines] == sources
    if kind == "csv":
        assert [line["id"] for line in lines] == [str(i) for i in range(len(sources))]


def test_settings_of_the_command_line_come_first(study, tmp_path):
    path = tmp_path / "sources.txt"
    path.write_text("colours of test 0\n\n")
    line, empty = infer(study, path, "--max-new-tokens", "2", "--max-source-tokens", "3")
    assert line["truncated"] and not line["finished"]
    assert empty == {"source": "", "output": "", "truncated": False, "finished": True}


def test_other_decoding_exports_again_without_training(study):
    weights = (study.student / "model.safetensors").stat().st_mtime_ns
    run(*export_command(study, "--num-beams", "3"))
    settings = json.loads((study.export / "generation_config.json").read_text())
    assert settings["num_beams"] == 3 and settings["max_new_tokens"] == 8
    assert (study.student / "model.safetensors").stat().st_mtime_ns == weights


@pytest.mark.parametrize(
    ("name", "content", "arguments", "words"),
    [
        ("a.csv", "text\na\n", (), "no column 'source'"),
        ("a.jsonl", '{"source": "a", "output": "b"}\n', (), "has a column 'output', which the output would replace"),
        ("a.txt", "a\n", ("--max-new-tokens", "500"), "has 32 positions"),
        ("a.TXT", "a\n", ("--column", "b"), "is read as text, which has no columns"),
    ],
)
def test_mistakes_are_told_in_one_line(study, name, content, arguments, words, tmp_path):
    path = tmp_path / name
    path.write_text(content)
    said = infer(study, path, *arguments, fails=True)
    assert words in said and "Traceback" not in said
    assert not (tmp_path / "output.jsonl").exists()


def test_a_missing_input_and_a_folder(study, tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        assert "cannot be read" in infer(study, path, fails=True)


def test_a_reader_that_has_enough_ends_it_without_a_word(study):
    command = [sys.executable, ROOT / "workflow/scripts/infer.py", study.export, "--input", "-", "--device", "cpu"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    _, said = process.communicate(b"a\n" * 300, timeout=120)
    assert process.returncode == 0 and b"Traceback" not in said and b"Broken pipe" not in said
