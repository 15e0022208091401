"""Preflight: what it finds, that it finds everything at once, and what it asks of SLURM."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import tiny
import yaml
from fdistill.artifacts.atomic import write_text
from fdistill.models import checkpoints, memory
from fdistill.preflight import Plan, data, disk, gpu, metrics, preflight, reach, slurm, teachers
from fdistill.runtime.errors import UserError
from small_config import TASK, WEB, Project, put
from snake import ROOT, snakemake


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with a BART of 2 + 2 layers and 32 positions."""
    checkpoints.save(tiny.checkpoint("bart"), tmp_path / "bart")
    return tmp_path / "bart"


def plan(project, *changes, jobs=None, **study):
    """A plan for the small study, its task changed key by key."""
    task = WEB
    for key, value in changes:
        task = put(task, key, value)
    project.write(TASK, task)
    return Plan(project.load(**study), project.root / "results", jobs or {})


def problems(findings):
    return [f"{finding.where}: {finding.text}" for finding in findings if finding.problem]


def from_checkpoint(folder, *changes):
    """Changes that make the task's teacher a checkpoint."""
    return (("model.teacher", {"init": str(folder)}), ("model.student", {"encoder": 1, "decoder": 1}), *changes)


# --- teachers


def test_a_checkpoint_that_fits(project, checkpoint):
    short = (("text", {"max_source_tokens": 16, "max_target_tokens": 16}),)
    (found,) = teachers.check(plan(project, *from_checkpoint(checkpoint, *short)))
    assert not found.problem
    assert "a folder of this machine" in found.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            (("model.student", {"encoder": 3, "decoder": 1}),),
            "a student of 3 layers cannot be copied from a teacher of 2",
        ),
        ((("text", {"max_source_tokens": 64, "max_target_tokens": 16}),), "64, but the model has 32 positions"),
        ((("model.family", "mbart"),), "model.family is mbart, but"),
        ((("model.teacher", {"init": "./nowhere"}),), "there is no folder ./nowhere"),
    ],
)
def test_a_checkpoint_that_does_not_fit(project, checkpoint, changes, said):
    (found,) = teachers.check(plan(project, *from_checkpoint(checkpoint, *changes)))
    assert found.problem
    assert said in found.text


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("model.safetensors", "has no model.safetensors"),
        ("config.json", "has no config.json"),
        ("tokenizer.json", "has no tokenizer"),
    ],
)
def test_a_checkpoint_that_lacks_a_file(project, checkpoint, file, said):
    (checkpoint / file).unlink()
    (found,) = teachers.check(plan(project, *from_checkpoint(checkpoint)))
    assert found.problem
    assert said in found.text


def test_a_checkpoint_with_a_pickle_alone_needs_leave(project, checkpoint):
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    (found,) = teachers.check(plan(project, *from_checkpoint(checkpoint)))
    assert found.problem and "if you trust it, set model.teacher.allow_pickle" in found.text
    given = {"init": str(checkpoint), "allow_pickle": True}
    (found,) = teachers.check(plan(project, *from_checkpoint(checkpoint, ("model.teacher", given))))
    assert not found.problem


def test_a_checkpoint_on_the_hub_is_named_with_what_nodes_without_a_network_need(project, monkeypatch):
    monkeypatch.setattr(reach, "hub_model", lambda model_id: {"config.json", "model.safetensors", "vocab.json"})
    config = checkpoints.AutoConfig.for_model("bart", **tiny.CONFIGS["bart"])
    monkeypatch.setattr("fdistill.preflight.architectures.AutoConfig.from_pretrained", lambda name, **_: config)
    change = from_checkpoint("someone/bart", ("text", {"max_source_tokens": 16, "max_target_tokens": 16}))
    (found,) = teachers.check(plan(project, *change, jobs={"distill": {}}))
    assert not found.problem
    assert "hf download someone/bart" in found.text
    (found,) = teachers.check(plan(project, *change))
    assert "hf download" not in found.text


# --- data


def test_local_data(project, tmp_path):
    files = {}
    for split in ("train", "dev", "test"):
        files[split] = str(tmp_path / f"{split}.jsonl")
        write_text(files[split], '{"source": "a", "target": "b"}\n')
    planned = plan(project, ("source", {"kind": "files", "path": files}))
    (found,) = data.check(planned)
    assert (found.problem, found.text) == (False, "local files")
    (tmp_path / "dev.jsonl").unlink()
    (found,) = data.check(planned)
    assert found.problem and f"source.path: no such file {tmp_path / 'dev.jsonl'} (seen from" in found.text


def test_the_targets_of_local_sources_are_looked_for_too(project, tmp_path):
    files = dict.fromkeys(("train", "dev", "test"), str(tmp_path / "all.source"))
    write_text(files["train"], "a\n")
    (found,) = data.check(plan(project, ("source", {"kind": "xsum", "path": files})))
    assert found.problem and found.text.count(str(tmp_path / "all.target")) == 1
    assert "all.source" not in found.text


def test_data_that_is_prepared_is_not_asked_for(project):
    planned = plan(project, ("source", {"kind": "xsum"}))
    write_text(planned.results / "web/prepare/manifest.json", "{}")
    (found,) = data.check(planned)
    assert found.text == "prepared already"


def test_data_from_the_first_place_that_answers(project, monkeypatch):
    asked = []

    def answer(dataset_id, revision):
        asked.append(revision)
        if revision == "main":
            raise UserError("not here")

    monkeypatch.setattr(reach, "hub_dataset", answer)
    (found,) = data.check(plan(project, ("source", {"kind": "xsum"})))
    assert not found.problem
    assert "revision refs/convert/parquet" in found.text
    assert asked == ["main", "refs/convert/parquet"]


# --- metrics


def test_metrics_that_cannot_be_computed(project, monkeypatch):
    def down(model_id):
        raise UserError(f"{model_id} is not to be had (no network)")

    monkeypatch.setattr(reach, "hub_model", down)
    monkeypatch.setattr(shutil, "which", lambda *_: None)  # no Java
    changes = (
        ("metrics", ["bleu4", "meteor", "bertscore", "moverscore", "bleurt"]),
        ("metric_options", {"bertscore": {"model": "someone/encoder"}, "moverscore": {"model": "./nowhere"}}),
    )
    found = list(metrics.check(plan(project, *changes)))
    assert [text.split(":")[2].split(" will")[0].strip() for text in problems(found)] == [
        "METEOR",
        "BERTScore",
        "MoverScore",
    ]
    said = "\n".join(problems(found))
    assert "apt-get install default-jre-headless" in said
    assert "metric_options.bertscore.model" in said
    assert "moverscore.model" in said
    left_out, ready = [one.text for one in found if not one.problem]
    assert left_out.startswith("BLEURT will be n/a: ")  # no checkpoint was asked for: known, and no problem
    assert ready == "BLEU-4: ready"


def test_a_metric_of_the_selection_counts(project):
    changes = (("selection", {"metric": "moverscore"}), ("metric_options", {"moverscore": {"model": "./nowhere"}}))
    assert "MoverScore will be n/a" in problems(metrics.check(plan(project, *changes)))[0]


def test_an_encoder_on_the_hub_is_named_with_what_nodes_without_a_network_need(project, monkeypatch):
    monkeypatch.setattr(reach, "hub_model", lambda model_id: {"config.json"})
    changes = (("metrics", ["moverscore"]), ("metric_options", {"moverscore": {"model": "someone/encoder"}}))
    (found,) = metrics.check(plan(project, *changes, jobs={"score": {}}))
    assert not found.problem
    assert "hf download someone/encoder" in found.text


# --- GPU memory and disk


def test_stages_that_do_not_fit_a_gpu(project):
    found = list(gpu.check(plan(project, ("training.distill.batch_size", 100_000), gpu_memory=40)))
    (problem,) = problems(found)
    assert "distill needs about" in problem
    assert "a GPU has 40 (gpu_memory); halve training.distill.batch_size and double its accumulation" in problem
    assert "finetune_teacher" in found[0].text


def test_batches_that_are_left_to_memory_fit_a_gpu(project):
    def needed(engine, gib, *changes):
        made = plan(project, ("risk.engine", engine), *changes, gpu_memory=gib)
        ((name, settings, sizes),) = made.known()
        return gpu.stages(settings, made, name, sizes)

    for gib in (6, 40):
        of_both = [needed(engine, gib) for engine in ("transformers", "ctranslate2")]
        for found in of_both:
            assert all(found[stage] < gib * memory.GIB for stage in ("sample_teacher", "generate", "risk"))
    assert of_both[1]["risk"] > of_both[0]["risk"]  # the weights twice
    fixed = [needed("transformers", gib, ("risk.batch_size", 999))["risk"] for gib in (6, 40)]
    assert fixed[0] == fixed[1] > of_both[0]["risk"]


def test_no_gpu_no_estimate(project):
    assert not list(gpu.check(plan(project, device="cpu")))


def test_a_teacher_that_is_not_trained_needs_no_memory_for_it(project):
    (found,) = gpu.check(plan(project, ("training.teacher.epochs", 0), gpu_memory=40))
    assert "finetune_teacher" not in found.text


def test_a_disk_that_is_too_small(project, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    models, checkpoints = problems(disk.check(plan(project)))
    for problem in (models, checkpoints):
        assert "0.0 GB are free; make room" in problem
    assert "the study's models" in models and "checkpoints: the checkpoints of one training" in checkpoints


def test_room_is_needed_for_every_student(project):
    def needed(**study):
        found = disk.check(plan(project, ("model.teacher.config.d_model", 1024), **study))
        return [float(each.text.split("about ")[1].split(" GB")[0]) for each in found]

    (models, checkpoints), (of_four, same) = needed(), needed(seeds=[1, 2, 3, 4])
    assert of_four > models + 0.5
    ((_, _, sizes),) = plan(project, ("model.teacher.config.d_model", 1024)).known()
    three_states_of_four_numbers = 3 * 4 * 4 * sizes.teacher.parameters
    assert same == checkpoints == pytest.approx(three_states_of_four_numbers / 1e9, abs=0.05)


# --- SLURM: answers as slurm-wlm 22.05 gives them

CLUSTER = """#!/bin/sh
echo "$@" >> "{log}"
for flag in "$@"; do
  case "$flag" in
    --partition=nope) echo "sbatch: error: invalid partition specified: nope" >&2
                      echo "allocation failure: Invalid partition name specified" >&2; exit 1;;
    --mem=64000) echo "allocation failure: Requested node configuration is not available" >&2; exit 1;;
  esac
done
echo "sbatch: Job 1 to start at 2026-11-22T11:10:08 using 1 processors on nodes n1 in partition gpu" >&2
"""
PARTITIONS = """#!/bin/sh
case "$*" in
  *--partition=gpu*) echo "gpu* 2-00:00:00";;
  *--partition=*) ;;
  *) printf "short 30:00\\ngpu* 2-00:00:00\\nendless infinite\\n";;
esac
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster's commands; returns the file with what was asked of sbatch."""
    log = tmp_path / "asked"
    for name, text in (("sbatch", CLUSTER.format(log=log)), ("sinfo", PARTITIONS)):
        program = tmp_path / "bin" / name
        write_text(program, text)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return log


def test_a_cluster_that_takes_the_jobs(project, cluster):
    asked = {"slurm_account": "me", "slurm_partition": "gpu", "runtime": 60, "mem_mb": 8000, "gpu": 1}
    (found,) = slurm.check(plan(project, jobs={"distill": asked, "risk": asked}))
    assert not found.problem
    assert found.text == "takes the jobs of 2 rules (me, gpu)"
    wanted = "--test-only --account=me --partition=gpu --time=60 --mem=8000 --gpus=1 --wrap=true"
    assert cluster.read_text().splitlines() == [wanted]  # once: both rules ask for the same
    list(slurm.check(plan(project, jobs={"distill": asked | {"gpu_model": "a100", "nodes": 2}})))
    assert "--nodes=2 --gpus=a100:1" in cluster.read_text()


def test_everything_that_a_cluster_refuses(project, cluster):
    jobs = {
        "distill": {"slurm_partition": "nope"},
        "generate": {"slurm_partition": "gpu", "mem_mb": 64000},
        "risk": {"slurm_partition": "gpu", "runtime": 2881},
        "score": {"slurm_partition": "gpu", "runtime": 2880},
        "metrics": {"runtime": 60},  # on the default partition
    }
    found = problems(slurm.check(plan(project, jobs=jobs)))
    assert len(found) == 3
    assert "invalid partition specified: nope; allocation failure: Invalid partition name specified" in found[0]
    assert "node configuration is not available. Asked for generate: --partition=gpu --mem=64000" in found[1]
    assert "partition gpu lets jobs run for 2880 minutes, fewer than runtime. Asked for risk" in found[2]
    assert all("profiles/slurm/config.yaml" in text for text in found)


@pytest.mark.parametrize(
    ("limit", "minutes"), [("30:00", 30), ("2:00:00", 120), ("1-00:00:00", 1440), ("infinite", None), ("n/a", None)]
)
def test_time_limits(limit, minutes):
    assert slurm._minutes(limit) == minutes


def test_no_cluster_here(project, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (problem,) = problems(slurm.check(plan(project, jobs={"distill": {}})))
    assert "there is no sbatch here; run this where jobs can be submitted" in problem
    assert not list(slurm.check(plan(project)))


# --- all at once


def test_every_problem_is_said_at_once(project, cluster):
    changes = (
        ("metric_options", {"moverscore": {"model": "./nowhere"}}),
        ("metrics", ["bleu4", "moverscore"]),
        ("training.distill.batch_size", 100_000),
    )
    found = preflight(plan(project, *changes, gpu_memory=40, jobs={"risk": {"slurm_partition": "nope"}}))
    wheres = {finding.where for finding in found if finding.problem}
    assert wheres == {"web: metrics", "web: GPU memory", "SLURM"}


def run(*arguments, **environment):
    command = [sys.executable, ROOT / "workflow/scripts/preflight.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | environment)


def test_the_embedded_default_by_target(tmp_path):
    done = snakemake("--cores", 1, "preflight", directory=tmp_path)
    assert done.stdout.count("trained from scratch") == 4
    assert "PROBLEM" not in done.stdout
    assert "no problem" in (tmp_path / "logs/preflight.log").read_text()


def test_the_papers_study_with_the_hub_down(tmp_path):
    done = run(
        "--configfile",
        "config/config.yaml",
        "config/paper.yaml",
        "--config",
        json.dumps({"tasks": ["wmt16_en_ro"]}),
        "--results",
        tmp_path,
        HF_ENDPOINT="http://127.0.0.1:9",
        HF_HOME=str(tmp_path / "hub"),
        http_proxy="http://127.0.0.1:9",
        https_proxy="http://127.0.0.1:9",
    )
    assert done.returncode == 1
    found = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM")]
    assert [line.split()[1:3] for line in found] == [["wmt16_en_ro:", "data:"], ["wmt16_en_ro:", "teacher:"]]
    assert "wmt/wmt16 is not to be had" in found[0]
    assert "source.path" in found[0]
    assert "google-t5/t5-base is not to be had" in found[1]
    assert "model.teacher.init" in found[1]
    assert "2 of" in done.stderr


def test_paper_study_says_what_gpus_it_is_for():
    assert yaml.safe_load((ROOT / "config/paper.yaml").read_text())["gpu_memory"] == 40
