"""Records: which file is whose, and what is said about it."""

import json
import logging

import pytest
from fdistill.artifacts.files import read_json, sha256, write_json, write_json_lines
from fdistill.artifacts.lineage import common_lineage, lineage_of
from fdistill.artifacts.manifest import MANIFEST, check_files, manifest_of, write_manifest
from fdistill.artifacts.records import SUFFIX, is_recorded, record_of, record_text, remedy
from fdistill.evaluation.texts import Texts
from fdistill.runtime.errors import UserError

CONTENT = {"a": 1, "lineage": {"task": "t"}}


def record(path, *files, stage="score", under="results/t/kl/seed1"):
    """Write the record of a job that wrote `files`, the first of them `path` or in it."""
    outputs = {f"{under}/{file.relative_to(path.parent)}": sha256(file) for file in files or (path,)}
    record_of(path).write_text(record_text({"stage": stage, "outputs": outputs}))


@pytest.fixture
def result(tmp_path):
    path = tmp_path / "score.json"
    write_json(path, CONTENT)
    record(path)
    return path


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    write_manifest(folder, {"lineage": {"task": "t"}})
    record(folder, folder / MANIFEST, stage="distill")
    return folder


def test_a_file_is_looked_up_in_its_record(result, model):
    assert read_json(result) == CONTENT and is_recorded(result) and is_recorded(model)
    assert remedy(result) == "delete it and run again (target results/t/kl/seed1/score.json, made by score)"
    assert remedy(model / MANIFEST) == (
        "delete the folder and run again (target results/t/kl/seed1/model, made by distill)"
    )
    data = result.with_name("manifest.json")  # not a model's
    write_json(data, CONTENT)
    record(result, result, data, under="results/t/prepare")
    assert remedy(data) == "delete it and run again (target results/t/prepare/manifest.json, made by score)"


@pytest.mark.parametrize(
    "wrong", [b"", b"{", b"[" * 100_000, b"[1]", b"{}", b"\xff", b'{"outputs": [], "record_sha256": 4}']
)
def test_a_damaged_record_is_refused_with_what_it_protects(result, wrong):
    record_of(result).write_bytes(wrong)
    with pytest.raises(
        UserError, match=r"score\.json\.provenance\.json: is damaged, .*; delete it and score\.json, and"
    ):
        read_json(result)


@pytest.mark.parametrize("outputs", [{}, [], 4, {"a": 4}, None])
def test_a_record_of_another_shape_is_damaged(result, outputs):
    record_of(result).write_text(record_text({"outputs": outputs}))
    with pytest.raises(UserError, match=r"score\.json\.provenance\.json: is damaged, (key 'outputs|it lists no)"):
        read_json(result)


def test_a_record_may_have_any_name(result):
    result.with_name(SUFFIX).write_text("{")
    record_of(result).unlink()
    with pytest.raises(UserError, match=r"/\.provenance\.json: is damaged, .*; delete it and its file"):
        read_json(result)


def test_a_damaged_record_does_not_matter_where_a_whole_one_confirms_the_file(result):
    result.with_name("risk.json" + SUFFIX).write_text("{")
    assert read_json(result) == CONTENT
    result.write_text("{}\n")
    with pytest.raises(UserError, match=r"score\.json: was changed or replaced: .* lists another hash of it"):
        read_json(result)


def test_without_a_record_a_file_is_one_from_elsewhere(result, model, caplog):
    """It is read unchecked; a rule, which gives its task, says so, because its inputs have records."""
    for path in (result, model):
        assert common_lineage(path, task="t")["task"] == "t" and not caplog.records
        record_of(path).unlink()
        with caplog.at_level(logging.WARNING):
            assert common_lineage(path)["task"] == "t" and not caplog.records
            assert common_lineage(path, task="t")["task"] == "t"
        assert f"{path}: no record lists it, so that it is read unchecked" in caplog.text
        caplog.clear()
    result.write_text("4")
    with pytest.raises(UserError, match="no record beside it says that this workflow wrote it; give a file") as error:
        read_json(result)
    assert "delete" not in str(error.value)


@pytest.mark.parametrize("absolute", [True, False])
def test_the_paths_of_a_message_are_all_relative_or_all_absolute(result, model, monkeypatch, absolute):
    folder = result.parent
    monkeypatch.chdir(folder)
    path, model = (result, model) if absolute else (result.relative_to(folder), model.relative_to(folder))
    result.write_text("{}\n")
    (model / MANIFEST).write_text(json.dumps({"files": {}}))
    for read, file in ((read_json, path), (lineage_of, model), (check_files, model)):
        with pytest.raises(UserError) as error:
            read(file)
        message = str(error.value)
        assert message.startswith(f"{file}: was changed or replaced: {record_of(file)} lists")
        assert (str(folder) in message) == absolute
    (model / MANIFEST).unlink()
    with pytest.raises(UserError) as error:
        manifest_of(model)
    assert (str(folder) in str(error.value)) == absolute and f"but {record_of(model)} lists it" in str(error.value)
    monkeypatch.chdir(folder / "model")  # the record is in the folder above
    with pytest.raises(UserError, match="no such file"):
        manifest_of(folder.cwd().relative_to(folder.cwd()))


@pytest.mark.parametrize("files", [["a"], 4, None, {"a": {"hash": "x"}}])
def test_another_programs_manifest_is_none_of_ours(tmp_path, files):
    """A checkpoint from elsewhere may have one; it is not looked at, let alone is the folder to be deleted."""
    write_json(tmp_path / MANIFEST, {"files": files, "lineage": 4})
    assert manifest_of(tmp_path) == {} == lineage_of(tmp_path)
    check_files(tmp_path)


def test_a_manifest_without_a_record_is_not_to_be_deleted_with_its_folder(model):
    record_of(model).unlink()
    (model / "model.safetensors").write_bytes(b"others")
    with pytest.raises(UserError, match=r"model\.safetensors: is damaged.*; copy the folder again") as error:
        check_files(model)
    (model / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors: no such file.*; copy the folder again") as other:
        check_files(model)
    (model / MANIFEST).write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json: not valid JSON .*remove or rename it") as third:
        check_files(model)
    assert not any("delete" in str(refusal.value) for refusal in (error, other, third))


def test_a_damaged_model_is_made_again(model):
    (model / "model.safetensors").write_bytes(b"others")
    with pytest.raises(
        UserError, match=r"is damaged.*; delete the folder and run again \(target results/.*/model, made"
    ):
        check_files(model)


@pytest.mark.parametrize("lineage", [4, [], {"task": 4}, None])
def test_a_lineage_of_another_shape_is_named(tmp_path, lineage):
    write_json(tmp_path / "x.json", {"lineage": lineage})
    write_json_lines(tmp_path / "x.jsonl", [], {"lineage": lineage})
    for name in ("x.json", "x.jsonl"):
        with pytest.raises(UserError, match=rf"{name}: key 'lineage(\.task)?' must be .*; no record"):
            lineage_of(tmp_path / name)


def test_a_file_of_texts_that_the_user_wrote_is_shown_its_form(tmp_path):
    (tmp_path / "texts.json").write_text('{"tasks": {"t": "T"}, "systems": {}}')
    with pytest.raises(UserError, match=r"key 'tasks\.t' must be a mapping, not \"T\"; no record .*; write it as {"):
        Texts.read(tmp_path / "texts.json")
