"""Outputs that would replace what a script reads, or another of its outputs: refused before anything is read."""

import pytest
import warm

PLACE = "--task t --method kl --seed 1"
FILES = "--model m --test test.parquet --teacher p --teacher-samples s.parquet"
LENGTHS = "--max-source-tokens 8 --max-target-tokens 8 --max-new-tokens 8"


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("metrics --scores 1.json --seeds 1 --output 1.txt", "1.replicates.parquet"),
        ("metrics --risks a.json --seeds 1 --output a.risk", "a.replicates.parquet"),
        ("metrics --scores 1.json --seeds 1 --output 1.replicates.parquet", "1.replicates.parquet"),
        (f"score --test t.parquet --generations a.replicates.parquet --metrics wer {PLACE} --output a.json", "a"),
        (f"generate {FILES} --generations a.replicates.parquet --risk a.json {LENGTHS} {PLACE}", "a"),
        ("compare --metrics t/a=a.json --risks b.json --students a --task t --output b.replicates.parquet", "b"),
        ("compare --metrics a.json --risks t/b=b.json --students a --task t --output a.replicates.parquet", "a"),
    ],
)
def test_replicates_beside_a_file_are_not_replaced(command, file, tmp_path, monkeypatch):
    """`1.replicates.parquet` is read with `1.json`, and written with `1.json` or `1.txt`."""
    monkeypatch.chdir(tmp_path)
    script, *arguments = command.split()
    done = warm.run_script(script, *arguments)
    assert done.returncode == 1 and done.stdout.startswith(f"error: {file}"), done.stdout
    assert ".replicates.parquet: --" in done.stdout and "both need this file; give the output a place" in done.stdout


def test_files_that_share_a_stem_are_no_replicates(tmp_path, monkeypatch):
    """Only files that have replicates beside them."""
    monkeypatch.chdir(tmp_path)
    files = "--test a.parquet --generations b.parquet --output a.json"
    done = warm.run_script("score", "--metrics", "wer", *f"{files} {PLACE}".split())
    assert "a.parquet: no such file" in done.stdout
