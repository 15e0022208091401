"""Every input of every stage, damaged in every way: the message names it and says what to do; nothing is written."""

import random
import re
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from chain import Study, run
from fdistill.artifacts.files import read_json, write_json, write_json_lines, write_parquet
from fdistill.evaluation.replicates import beside

STAGES = list(Study(Path()).stages(lambda path: path))
TRIED, REFUSED = Counter(), Counter()  # damages, by stage


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A study, the same with another seed and so another teacher, and one of another task."""
    folder = tmp_path_factory.mktemp("studies")
    return {
        "": Study(folder / "this").make(),
        "another seed": Study(folder / "seed", seed=2).make(),
        "another task": Study(folder / "task", task="numbers").make(),
    }


def flip(content):
    place = random.Random(len(content)).randrange(8 * len(content))
    flipped = bytearray(content)
    flipped[place // 8] ^= 1 << place % 8
    return bytes(flipped)


def another_schema(path, aside):
    """Replace a file by one of the same format with other content, and a model's folder by one with another file."""
    if path.suffix == ".parquet":
        write_parquet(aside, {"text": ["a"]}, pa.schema([("text", pa.string())]))
    elif path.suffix in (".json", ".jsonl"):
        write_json(aside, {"step": 1})
    else:
        shutil.rmtree(path)
        write_json_lines(aside / "train.jsonl", [])
    aside.rename(path)


DAMAGES = {
    "truncated": lambda content: content[: 2 * len(content) // 3],
    "one bit": flip,
    "emptied": lambda content: b"",
}


def spoil(path, damage, other, aside):
    """Damage the file or folder at `path`; return False if that does not change it."""
    if damage in DAMAGES:
        file = path / "model.safetensors" if path.is_dir() else path
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
    elif damage == "another schema":
        another_schema(path, aside)
    elif damage == "another seed" and path.parent.name == "prepare":
        return False  # the data are the same for all seeds
    elif path.is_dir():
        shutil.rmtree(path)
        shutil.copytree(other, path)
    else:
        shutil.copy(other, path)
    return True


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("stage", STAGES)
def test_damage_is_refused(studies, stage, tmp_path):
    study = studies[""]
    inputs, _ = study.stages(lambda path: path)[stage]
    (tmp_path / "out").mkdir()

    def output(path):
        """Elsewhere, and with something that was there before."""
        place = tmp_path / "out" / path.name
        if not place.exists():
            place.write_text("from before")
        return place

    command = study.command(stage, output)
    before = snapshot(tmp_path / "out")
    for flag, path in inputs.items():
        for damage in (*DAMAGES, "another schema", "another seed", "another task"):
            of_other = studies.get(damage, study)
            other = list(of_other.stages(lambda path: path)[stage][0].values())[list(inputs).index(flag)]
            shutil.rmtree(tmp_path / "whole", ignore_errors=True)
            path.rename(tmp_path / "whole")
            (shutil.copytree if (tmp_path / "whole").is_dir() else shutil.copy)(tmp_path / "whole", path)
            try:
                if not spoil(path, damage, other, tmp_path / "aside"):
                    continue
                TRIED[stage] += 1
                message = run(*command, fails=True)
            finally:
                (shutil.rmtree if path.is_dir() else Path.unlink)(path)
                (tmp_path / "whole").rename(path)
            assert message.startswith("error: "), message
            assert re.search("run again|run the rule|again from this|give ", message), message
            assert any(str(input_path) in message for input_path in inputs.values()), message
            assert snapshot(tmp_path / "out") == before
            REFUSED[stage] += 1


def test_an_intended_change_is_accepted_when_its_record_is_deleted(studies, tmp_path):
    """A damaged record is refused: a file is not protected less because its record is damaged too."""
    this, other = studies[""], studies["another task"]
    shutil.copytree(this.score.parent, tmp_path / "moved")  # the paths in a record are relative to its folder
    score, record = tmp_path / "moved/score.json", tmp_path / "moved/score.json.provenance.json"
    command = ["metrics", "--scores", score, "--seeds", "1", "--output", tmp_path / "out.json"]
    shutil.copy(other.score, score)
    shutil.copy(beside(other.score), beside(score))
    message = run(*command, fails=True)
    assert f"{score}: was changed or replaced: {record} lists another hash of it" in message
    assert re.search(r"delete it and run again \(target .*/score\.json, made by score\), or, if the change is", message)
    record.write_text(record.read_text().replace('"attempts": 1', '"attempts": 2'))
    message = run(*command, fails=True)
    assert f"{record}: is damaged, its content is not what was written; delete it" in message
    assert "if score.json is as it should be, delete the record alone" in message
    record.unlink()
    run(*command)


def test_students_of_two_teachers_do_not_share_a_table(studies, tmp_path):
    """A file from elsewhere, without a record, is detected when a table compares it with other systems' files."""
    this, other = studies[""], studies["another seed"]
    write_json(tmp_path / "js.json", read_json(other.metrics) | {"method": "js"})
    shutil.copy(beside(other.metrics), beside(tmp_path / "js.json"))
    given = ["--tasks=colours=Task", "--students", "kl=KL", "js=JS", "--output", tmp_path / "table.md"]
    given += [f"--comparisons=colours={this.comparisons}"]
    message = run("tables", "main", "--metrics", this.metrics, tmp_path / "js.json", *given, fails=True)
    assert re.search("js.json: belongs to another teacher than .*kl/metrics.json", message), message
    assert not (tmp_path / "table.md").exists()


def test_count():
    """The figures: run with -rP to see them."""
    assert set(TRIED) == set(STAGES), "run the whole file"
    for stage in STAGES:
        print(f"{stage:20} {REFUSED[stage]:3} of {TRIED[stage]:3}")
    print(f"{'all':20} {REFUSED.total():3} of {TRIED.total():3}")
    assert REFUSED == TRIED
