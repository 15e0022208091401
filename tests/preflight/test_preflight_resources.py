"""Preflight's checks of resources: GPU memory, disk, and what it requests of SLURM."""

from types import SimpleNamespace

import pytest
from fdistill.models import memory
from fdistill.preflight import disk, gpu, slurm
from plans import plan, problems

# --- GPU memory and disk


def test_stages_that_do_not_fit_a_gpu(project):
    findings = list(gpu.check(plan(project, ("training.distill.batch_size", 100_000), gpu_memory=40)))
    (problem,) = problems(findings)
    assert "distill needs about" in problem
    assert "a GPU has 40 (gpu_memory); halve training.distill.batch_size and double its accumulation" in problem
    assert "finetune_teacher" in findings[0].text


def test_batches_that_are_left_to_memory_fit_a_gpu(project):
    def needed(engine, gib, *changes):
        study_plan = plan(project, ("risk.engine", engine), *changes, gpu_memory=gib)
        ((name, settings, sizes),) = study_plan.known()
        return gpu.stages(settings, study_plan, name, sizes)

    for gib in (6, 40):
        by_engine = [needed(engine, gib) for engine in ("transformers", "ctranslate2")]
        for stages in by_engine:
            assert all(stages[stage] < gib * memory.GIB for stage in ("sample_teacher", "generate"))
    assert by_engine[1]["generate"] > by_engine[0]["generate"]  # it has a second copy of the weights
    fixed = [needed("transformers", gib, ("risk.batch_size", 999))["generate"] for gib in (6, 40)]
    assert fixed[0] == fixed[1] > by_engine[0]["generate"]


def test_no_gpu_no_estimate(project):
    assert not list(gpu.check(plan(project, device="cpu")))


def test_a_teacher_that_is_not_trained_needs_no_memory_for_it(project):
    (finding,) = gpu.check(plan(project, ("training.teacher.epochs", 0), gpu_memory=40))
    assert "finetune_teacher" not in finding.text


def test_a_disk_that_is_too_small(project, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    models, checkpoints = problems(disk.check(plan(project)))
    for problem in (models, checkpoints):
        assert "0.0 GB are free; make room" in problem
    assert "the study's models" in models and "checkpoints: the checkpoints of one training" in checkpoints


def test_room_is_needed_for_every_student(project):
    def needed(**study):
        findings = disk.check(plan(project, ("model.teacher.config.d_model", 1024), **study))
        return [float(finding.text.split("about ")[1].split(" GB")[0]) for finding in findings]

    (models, checkpoints), (of_four, same) = needed(), needed(seeds=[1, 2, 3, 4])
    assert of_four > models + 0.5
    ((_, _, sizes),) = plan(project, ("model.teacher.config.d_model", 1024)).known()
    three_states_of_four_numbers = 3 * 4 * 4 * sizes.teacher.parameters
    assert same == checkpoints == pytest.approx(three_states_of_four_numbers / 1e9, abs=0.05)


# --- SLURM


def test_a_cluster_that_accepts_the_jobs(project, cluster):
    resources = {"slurm_account": "me", "slurm_partition": "gpu", "runtime": 60, "mem_mb": 8000, "gpu": 1}
    (finding,) = slurm.check(plan(project, jobs={"distill": resources, "generate": resources}))
    assert not finding.problem
    assert finding.text == "accepts the jobs of 2 rules (me, gpu)"
    request = "--test-only --account=me --partition=gpu --time=60 --mem=8000 --gpus=1 --wrap=true"
    assert cluster.read_text().splitlines() == [request]  # once: both rules request the same
    list(slurm.check(plan(project, jobs={"distill": resources | {"gpu_model": "a100", "nodes": 2}})))
    assert "--nodes=2 --gpus=a100:1" in cluster.read_text()


def test_everything_that_a_cluster_refuses(project, cluster):
    jobs = {
        "distill": {"slurm_partition": "nope"},
        "predistill": {"slurm_partition": "gpu", "mem_mb": 64000},
        "generate": {"slurm_partition": "gpu", "runtime": 2881},
        "score": {"slurm_partition": "gpu", "runtime": 2880},
        "metrics": {"runtime": 60},  # on the default partition
    }
    texts = problems(slurm.check(plan(project, jobs=jobs)))
    assert len(texts) == 3
    assert "invalid partition specified: nope; allocation failure: Invalid partition name specified" in texts[0]
    assert "node configuration is not available. Requested by predistill (--partition=gpu --mem=64000)" in texts[1]
    assert "partition gpu lets jobs run for 2880 minutes, fewer than runtime. Requested by generate" in texts[2]
    assert all("profiles/slurm/config.yaml" in text for text in texts)


@pytest.mark.parametrize(
    ("limit", "minutes"), [("30:00", 30), ("2:00:00", 120), ("1-00:00:00", 1440), ("infinite", None), ("n/a", None)]
)
def test_time_limits(limit, minutes):
    assert slurm._minutes(limit) == minutes


def test_no_cluster_here(project, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (problem,) = problems(slurm.check(plan(project, jobs={"distill": {}})))
    assert "there is no sbatch here; run preflight on a login node" in problem
    assert not list(slurm.check(plan(project)))
