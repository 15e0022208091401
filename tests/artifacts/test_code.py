"""The version of the code in records, and what is said at the start of a run."""

from pathlib import Path

import pytest
from fdistill.artifacts import code
from fdistill.artifacts.records import record_of, record_text
from snake import snakemake

TODAY = {"distill": code.code_hash(code.SCRIPTS / "distill.py"), "score": code.code_hash(code.SCRIPTS / "score.py")}


def write(output, stage, sha256, inputs=()):
    output.parent.mkdir(parents=True, exist_ok=True)
    content = {"stage": stage, "inputs": dict.fromkeys(map(str, inputs), "0"), "outputs": {str(output): "0"}}
    record_of(output).write_text(record_text(content | {"code": {"commit": "c", "dirty": False, "sha256": sha256}}))


def test_editing_any_file_of_the_library_or_the_script_changes_the_hash(tmp_path, monkeypatch):
    (tmp_path / "fdistill/losses").mkdir(parents=True)
    library, script = tmp_path / "fdistill/losses/kl.py", tmp_path / "score.py"
    template = tmp_path / "fdistill/losses/page.jinja"
    monkeypatch.setattr(code, "LIBRARY", tmp_path / "fdistill")
    seen = set()
    for edit in (
        lambda: script.write_text("1"),
        lambda: library.write_text("1"),
        lambda: library.write_text("2"),
        lambda: script.write_text("2"),
        lambda: template.write_text("1"),
        lambda: library.rename(library.with_name("rkl.py")),
    ):
        edit()
        code.code_hash.cache_clear()
        seen.add(code.code_hash(script))
    code.code_hash.cache_clear()
    assert len(seen) == 6


def test_results_of_other_code_are_counted_by_stage_with_the_command(tmp_path):
    write(tmp_path / "t/kl/seed1/model", "distill", "another")
    write(tmp_path / "t/js/seed1/model", "distill", TODAY["distill"])
    for seed in (1, 2):
        write(tmp_path / f"t/kl/seed{seed}/score.json", "score", "another")
    record_of(tmp_path / "t/kl/seed3").write_text("[")  # refused by the job that reads the files beside it
    [message] = code.start_messages(tmp_path, [])
    assert "3 of 4 jobs' results were made by other code than today's (1 of distill, 2 of score)" in message
    assert "snakemake --forcerun distill predistill score -- TARGET" in message


def test_results_of_todays_code_need_no_message(tmp_path):
    write(tmp_path / "t/kl/seed1/model", "distill", TODAY["distill"])
    assert not list(code.start_messages(tmp_path, [])) and not list(code.start_messages(tmp_path / "none", []))


@pytest.mark.parametrize("content", ["null", "[]", "{}", '{"stage": []}', '{"stage": "x", "code": 1}', "[" * 100_000])
def test_a_record_of_any_shape_stops_nothing(tmp_path, content):
    (tmp_path / "tables").mkdir()
    record_of(tmp_path / "tables/main.csv").write_text(content)
    list(code.start_messages(tmp_path, []))


def test_tables_of_another_study_are_named_before_they_are_replaced(tmp_path):
    places = ["results/xsum/kl/metrics.json", "results/xsum/js/metrics.json"]
    write(tmp_path / "tables/main.csv", "tables", code.code_hash(code.SCRIPTS / "tables.py"), places)
    assert not list(code.start_messages(tmp_path, [*places, "results/dart/js/metrics.json"]))  # it only adds to them
    [message] = code.start_messages(tmp_path, places[:1])
    assert "(xsum/js)" in message and "snakemake --config results=studies/NAME" in message


def test_a_run_begins_with_both_messages_and_runs_no_job_for_them(tmp_path):
    write(tmp_path / "studies/a/tables/main.csv", "tables", "another", ["studies/a/xsum/kl/metrics.json"])
    shown = snakemake(
        "-n", "--config", "results=studies/a", "--", "studies/a/dialogue/prepare/manifest.json", directory=tmp_path
    ).stdout
    assert shown.count("were made by other code") == 1 and shown.count("the tables there show results") == 1
    assert "rule prepare" in shown and "studies/a/logs/dialogue/prepare.log" in shown
    assert Path(tmp_path, "results").exists() is False
