"""The benchmark of offline sampling: all sample for the same inputs, and the figures agree with the samples."""

import json
import runpy
import sys

import pytest
import tiny
import torch
from fdistill.bench import offline
from fdistill.bench.workload import end_by_context
from fdistill.data.batches import source_batch
from fdistill.losses.inputs import IGNORE
from fdistill.runtime.errors import UserError
from fdistill.sampling.engine_limits import CTRANSLATE2, ENGINES, TRANSFORMERS
from fdistill.sampling.sampler import SamplingConfig, sample_batch
from snake import ROOT
from workloads import workload_of


@pytest.mark.parametrize("name", ["bart", "t5", "gpt2"])
def test_the_figures_agree_with_the_samples(name):
    checkpoint = tiny.checkpoint(name, seed=3)
    sources = tiny.random_pairs(checkpoint, 20)[0]
    compared = offline.compare(checkpoint.model, sources, 6, repeats=2, seed=1)
    assert (compared["inputs"], compared["longest"]) == (20, 6)
    for mode in offline.MODES:
        ways, missing = (compared["modes"][mode][key] for key in ("ways", "missing"))
        assert ways.keys() == {offline.PLAIN, *ENGINES} and missing == {}
        for way, result in ways.items():
            assert all(20 <= tokens <= 120 for tokens in result["tokens"]), way
            speeds = [tokens / seconds for tokens, seconds in zip(result["tokens"], result["seconds"], strict=True)]
            assert result["tokens_per_s"] == pytest.approx(sum(speeds) / 2)
            assert result["ratio"] == pytest.approx(result["tokens_per_s"] / ways[offline.PLAIN]["tokens_per_s"])
    searched = compared["modes"]["beam search"]["ways"]
    assert searched["transformers"]["tokens"] == searched["ctranslate2"]["tokens"] == searched["plain"]["tokens"]


@pytest.mark.parametrize("engine", [None, "missing"])
def test_the_script_writes_what_it_measured_and_names_what_is_missing(engine, tmp_path, monkeypatch):
    if engine == "missing":

        def version_of(name):
            raise UserError(f"engine {name}: the package is not installed; pip install {name}")

        monkeypatch.setattr("fdistill.sampling.engines.version_of", version_of)
    teacher = {"init": "scratch", "vocab_size": 300, "config": tiny.CONFIGS["bart"]}
    model = {"family": "bart", "teacher": teacher, "student": {"encoder": 1, "decoder": 1}}
    arguments = ["--model", json.dumps(model), "--inputs=12", "--repeats=1", "--seed=1", "--device=cpu"]
    arguments += ["--max-source-tokens=8", "--max-target-tokens=6", f"--json={tmp_path}/b.json"]
    monkeypatch.setattr(sys, "argv", ["bench_offline.py", *arguments, f"--table={tmp_path}/b.md"])
    runpy.run_path(str(ROOT / "workflow/scripts/bench_offline.py"), run_name="__main__")
    content, text = (tmp_path / "b.json").read_text(), (tmp_path / "b.md").read_text()
    modes = json.loads(content)["modes"]
    assert modes.keys() == set(offline.MODES) and json.loads(content)["machine"]["name"] in text
    for measured in modes.values():
        assert {*measured["ways"], *measured["missing"]} == {offline.PLAIN, *ENGINES}
        for way in measured["ways"].values():
            assert f" {way['tokens_per_s']:,.0f} |" in text
        assert (CTRANSLATE2 in measured["missing"]) == (engine == "missing") and TRANSFORMERS in measured["ways"]
    assert ("CTranslate2: n/a, as engine ctranslate2: the package is not installed" in text) == (engine == "missing")


@pytest.mark.parametrize("family", ["bart", "gpt2"])
def test_contexts_decide_where_sequences_end(family):
    """Also with beam search: sequences end neither all immediately nor all at the maximum length."""
    workload = workload_of(family, batch_size=4, vocab_size=200)
    end_by_context(workload.teacher, workload.data)
    source = source_batch(workload.teacher, workload.data.train.sources)
    for sampling in (SamplingConfig(10), SamplingConfig(10, "beam", offline.MODES["beam search"][2])):
        lengths = (sample_batch(workload.teacher, source, sampling, (1,)).labels != IGNORE).sum(1).float()
        assert 2 < lengths.mean() < 9 and lengths.std() > 0.5, (sampling.mode, lengths)
    head = workload.teacher.module.get_output_embeddings().weight
    assert not torch.equal(head, workload.teacher.module.get_input_embeddings().weight)  # the embeddings are unchanged
