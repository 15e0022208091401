"""Provenance: complete records beside the outputs, which do not influence them, and a ledger that adds them up."""

import subprocess
from pathlib import Path

import pytest
from chain import METHOD, Study, run
from fdistill.artifacts import journal, provenance
from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.files import read_json, sha256, write_json
from fdistill.artifacts.records import SUFFIX, read_record, record_text
from fdistill.evaluation.ledger import ledger
from fdistill.runtime.errors import UserError
from snake import ROOT, planned, snakemake

FIELDS = {"stage", "inputs", "outputs", "configuration", "seed", "code", "packages", "hardware", "ended"}
FIELDS |= {"attempts", "wall_seconds", "gpu_hours", "peak_memory_mib", "peak_gpu_memory_mib"}
SUMS = ("wall_seconds", "gpu_hours")
PEAKS = ("peak_memory_mib", "peak_gpu_memory_mib")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study(tmp_path_factory.mktemp("study")).make()


def records(study):
    return {path: read_record(path) for path in (study.folder / "results").rglob("*" + SUFFIX)}


def summed(study, targets=None):
    targets = targets or [study.folder / "results/tables/table.md", study.folder / "results/figures/curves.svg"]
    return ledger(study.folder / "results", targets)


def test_every_job_leaves_a_complete_record(study):
    by_path = records(study)
    stages = [record["stage"] for record in by_path.values()]
    assert sorted(set(stages)) == sorted({"prepare", *(stage.split()[0] for stage in study.stages(str))} - {"trivial"})
    for path, record in by_path.items():
        assert set(record) == FIELDS
        assert record["inputs"] and record["outputs"], path
        for file, digest in (record["inputs"] | record["outputs"]).items():
            if "tables/" not in file:  # here one stage after the other writes the same table
                assert digest == sha256(file)
        assert record["attempts"] == 1 and record["wall_seconds"] > 0 and record["peak_memory_mib"] > 10
        assert record["hardware"]["cpu"] and record["hardware"]["cpus"] >= 1
        assert record["packages"].keys() >= {"python", "fdistill", "torch", "transformers"}
    (training,) = [record for record in by_path.values() if record["stage"] == "distill"]
    assert training["seed"] == 1
    inputs = {study.train, study.dev, study.samples, study.start / "manifest.json", study.teacher / "manifest.json"}
    assert training["inputs"].keys() == set(map(str, inputs))
    assert list(training["outputs"]) == [str(study.student / "manifest.json"), str(study.history)]
    (preparation,) = [record for record in by_path.values() if record["stage"] == "prepare"]
    assert {file.rsplit("/", 1)[1] for file in preparation["inputs"]} == {"train.csv", "dev.csv", "test.csv"}


def test_a_run_that_fails_leaves_no_record(study, tmp_path):
    run("trivial", "--system", "copy", "--train", study.train, "--test", tmp_path, "--generations", "x", fails=True)
    assert not list(tmp_path.iterdir())


def test_the_same_seed_gives_the_same_bytes_whatever_the_records_say(study):
    path = study.generations
    before, record_before = path.read_bytes(), path.with_name(path.name + SUFFIX).read_bytes()
    run(*study.command("generate"))
    assert path.read_bytes() == before
    assert path.with_name(path.name + SUFFIX).read_bytes() != record_before


def test_a_run_killed_before_its_record_leaves_none_that_contradicts_it(tmp_path, monkeypatch):
    """The record of an earlier run is deleted when its file is replaced."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["score.py", "--output", "x.json"])
    with journal.opened() as notes:
        write_json("x.json", {"run": 1})
        provenance.write_record(notes)
        assert read_json("x.json") == {"run": 1}
        write_json("x.json", {"run": 2})
        assert read_json("x.json") == {"run": 2} and not Path(f"x.json{SUFFIX}").exists()
        provenance.write_record(notes)
    Path("x.json").rename("y.json")
    write_json(tmp_path / "elsewhere/x.json", {"run": 3})
    (tmp_path / "elsewhere/x.json").rename("x.json")
    assert read_json("y.json") == {"run": 2}  # it has no record
    with pytest.raises(UserError, match=r"^x\.json: was changed or replaced: x\.json\.provenance\.json"):
        read_json("x.json")


def test_the_code_is_named_by_its_commit(monkeypatch, tmp_path):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    expected = head.stdout.strip() if head.returncode == 0 else "unknown"
    assert provenance.code_version()["commit"] == expected
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))  # outside git
    assert provenance.code_version() == {"commit": "unknown", "dirty": None}


def test_gpus_are_those_with_allocations_times_the_world_size(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda i: 3 * provenance.MIB * i)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda i: f"GPU {i}")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setattr("sys.argv", ["score.py", "--output", str(tmp_path / "x.json")])
    with journal.opened() as notes:
        notes.started -= 1800
        write_json(tmp_path / "x.json", {})
        provenance.write_record(notes)
    record = read_record(tmp_path / f"x.json{SUFFIX}")
    assert record["hardware"]["gpus"] == ["GPU 1"] * 4
    assert record["peak_gpu_memory_mib"] == 3 and record["gpu_hours"] == pytest.approx(2, abs=1e-3)


def test_interrupted_attempts_are_in_the_record(monkeypatch, tmp_path, caplog):
    """Two interrupted runs noted their costs, one of them damaged; the run's own note is not counted again."""
    kept = tmp_path / "kept"
    write_json(kept / f"1{provenance.COST}", dict.fromkeys(SUMS, 1000) | dict.fromkeys(PEAKS, 10**9))
    write_json(kept / f"2{provenance.COST}", {"wall_seconds": "long"})
    monkeypatch.setattr("sys.argv", ["score.py", "--output", str(tmp_path / "x.json")])
    with journal.opened() as notes:
        for _ in range(2):  # once for each kind of stored batches
            provenance.take_over_costs(kept)
            provenance.note_cost(kept)
        write_json(tmp_path / "x.json", {})
        provenance.write_record(notes)
    record = read_record(tmp_path / f"x.json{SUFFIX}")
    assert record["attempts"] == 2 and 1000 < record["wall_seconds"] < 1100
    assert record["gpu_hours"] == 1000 and record["peak_memory_mib"] == 10**9
    assert f"2{provenance.COST}: damaged" in caplog.text
    assert len(list(kept.iterdir())) == 3 and not record["inputs"]


# --- the ledger


def test_the_ledgers_sums_are_those_of_the_records(study):
    total, by_path = summed(study), records(study)
    # Of the figures, one is among the targets.
    used = [r for r in by_path.values() if r["stage"] != "figures" or "curves.svg" in str(r["outputs"])]
    no_own = ("metrics", "score", "generate", "compare", "claims", "tables", "human")
    used = [r for r in used if r["stage"] not in no_own]
    used += [r for p, r in by_path.items() if p.name == "table.md" + SUFFIX]
    # The outputs are inputs of the table of examples, which was written last.
    used += [r for r in by_path.values() if r["stage"] == "generate"]
    assert total["missing"] == total["changed"] == []
    assert total["total"]["jobs"] == len(used) == sum(row["jobs"] for row in total["rows"])
    for key in SUMS:
        assert total["total"][key] == pytest.approx(sum(r[key] for r in used), abs=1e-5)
    for key in PEAKS:
        assert total["total"][key] == max(r[key] for r in used)
    rows = [(row["stage"], row["method"]) for row in total["rows"]]
    assert rows[0] == ("prepare", "") and ("distill", METHOD) in rows and ("finetune_teacher", "teacher") in rows
    assert (
        rows.index(("finetune_teacher", "teacher")) < rows.index(("init_student", "")) < rows.index(("distill", METHOD))
    )
    assert {file.rsplit("/", 1)[1] for file in total["sources"]} == {"train.csv", "dev.csv", "test.csv"}


def test_gpu_hours_are_summed_by_stage_and_method(tmp_path):
    """The records of two seeds, on two GPUs each."""
    for seed in (1, 2):
        output = tmp_path / "results/t/kl" / f"seed{seed}" / "model/manifest.json"
        costs = dict.fromkeys(SUMS, 1.5 * seed) | dict.fromkeys(PEAKS, 100 * seed)
        content = {"stage": "distill", "inputs": {}, "outputs": {str(output): "x"}} | costs
        content |= {"attempts": seed, "code": {"commit": "c", "dirty": True}}
        write_text(output.parents[1] / f"model{SUFFIX}", record_text(content))
    found = ledger(tmp_path / "results", [tmp_path / f"results/t/kl/seed{seed}/model/manifest.json" for seed in (1, 2)])
    (row,) = found["rows"]
    assert (row["stage"], row["method"], row["jobs"], row["gpu_hours"]) == ("distill", "kl", 2, 4.5)
    assert row["attempts"] == 3 and row["peak_gpu_memory_mib"] == 200 and found["code"] == ["c-dirty"]


def test_a_missing_record_is_named(study, tmp_path, capsys):
    record = study.teacher.with_name("model" + SUFFIX)
    kept = record.read_bytes()
    record.unlink()
    try:
        out = tmp_path / "ledger.json"
        given = ["--results", study.folder / "results", "--json", out, "--table", tmp_path / "ledger.md"]
        run("provenance", "--targets", study.student / "manifest.json", *given)
    finally:
        record.write_bytes(kept)
    path = str(study.teacher / "manifest.json")
    assert read_json(out)["missing"] == [path]
    assert f"No record of {path}" in (tmp_path / "ledger.md").read_text().replace("\\", "")
    assert f"no record of {path}" in capsys.readouterr().err


def test_a_result_that_was_made_again_is_named(study):
    record = study.train.with_name("train.parquet" + SUFFIX)
    kept = record.read_bytes()
    content = read_record(record)
    try:
        write_text(record, record_text(content | {"outputs": dict.fromkeys(content["outputs"], "0" * 64)}))
        assert str(study.train) in summed(study)["changed"]
    finally:
        record.write_bytes(kept)


def test_a_damaged_record_is_refused_by_name(study):
    record = study.score.with_name("score.json" + SUFFIX)
    kept = record.read_bytes()
    try:
        record.write_bytes(kept.replace(b'"score"', b'"scorf"'))
        with pytest.raises(UserError, match=r"score\.json\.provenance\.json: is damaged"):
            summed(study)
    finally:
        record.write_bytes(kept)


def test_the_ledger_is_a_target_of_its_own(study, tmp_path):
    """It adds up what has run, whatever the study of this run is: no other job is needed."""
    jobs = planned(snakemake("-n", "results/provenance.md", directory=study.folder).stdout)
    assert set(jobs) == {("provenance", "")}
    assert ("provenance", "") not in planned(snakemake("-n", "all", directory=tmp_path).stdout)


def test_without_targets_every_record_counts(study):
    total = ledger(study.folder / "results")
    assert total["total"]["jobs"] == len(records(study)) and not total["missing"]
    assert str(study.ratings) in total["sources"]  # people made it


@pytest.mark.parametrize(("targets", "words"), [(["nope"], "nope: no record in"), ([], "no record of a job there")])
def test_a_target_without_a_record_is_refused(study, tmp_path, targets, words):
    results = study.folder / "results" if targets else tmp_path
    given = ["--results", results, "--json", tmp_path / "x.json", "--table", tmp_path / "x.md"]
    assert words in run("provenance", *(["--targets", *targets] if targets else []), *given, fails=True)
