"""The SLURM profile on a real cluster: what jobs ask for, in SLURM's own records; interrupted jobs; preflight."""

import contextlib
import json
import re
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import warm
import yaml
from debian import Unavailable
from slurm_cluster import Cluster
from snake import ROOT, SMOKE, snakemake

pytestmark = pytest.mark.slurm

PROFILE = ROOT / "profiles/slurm/config.yaml"
# Over tests/smoke.yaml: the smallest study that runs every rule.
STUDY = {"tasks": ["en_ro"], "methods": ["kl"], "seeds": [1], "device": "cpu"}

TARGETS = [
    "results/en_ro/kl/metrics.json",
    "results/en_ro/kl/risk.json",
    "results/en_ro/copy/seed1/generate.parquet",
]

# What profiles/slurm promises for a first attempt: partition, CPUs, memory (GB), minutes, GPUs.
ASKED = {
    "finetune_teacher": ("gpu", 4, 32, 720, 1),
    "predistill": ("gpu", 4, 32, 720, 1),
    "distill": ("gpu", 4, 32, 720, 1),
    "sample_teacher": ("gpu", 4, 32, 480, 1),
    "generate": ("gpu", 4, 16, 360, 1),
    "score": ("cpu", 8, 16, 240, 0),
    "init_student": ("cpu", 2, 16, 30, 0),
    "trivial": ("cpu", 2, 8, 10, 0),
}


@pytest.fixture(scope="module")
def cluster():
    warm.run(int)  # now: a server with the cluster's environment would count as one of its processes
    with contextlib.ExitStack() as stack:
        try:
            cluster = stack.enter_context(Cluster())
        except Unavailable as reason:
            pytest.skip(f"no SLURM cluster: {reason}")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in ("PATH", "SLURM_CONF"):
            patch.setenv(name, cluster.environment[name])
        yield cluster
    assert not cluster.left, "processes of the cluster outlived it"


def profile(folder, **values):
    """A profile as a user has it: what stands at its top filled in."""
    text = PROFILE.read_text()
    for key, value in values.items():
        text, found = re.subn(rf"^(  {key}: )(\S+)", rf"\g<1>{value}", text, flags=re.M)
        assert found == 1, f"{key} does not stand once in {PROFILE}"
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(text)
    return folder


@pytest.fixture
def ours(tmp_path):
    return profile(tmp_path / "ours", account="study", gpu_partition="gpu", cpu_partition="cpu", gpu_type="a100")


def run_study(profile, *arguments, directory):
    """Snakemake on the smallest study; the cluster keeps no accounts (that takes a database), so squeue is asked."""
    overlay = directory / "study.yaml"
    overlay.write_text(yaml.safe_dump(STUDY))
    known = ["--profile", profile, "--slurm-status-command", "squeue", "--configfile", SMOKE, overlay]
    return snakemake(*known, *arguments, directory=directory, check=False, timeout=900, cold=True)


def rule_of(job):
    return re.fullmatch(r"rule_(.+?)(?:_wildcards_.*)?", job["Comment"])[1]


def asked_by(rule, attempt):
    partition, cpus, memory, minutes, gpus = ASKED[rule]
    return partition, cpus, memory * min(attempt, 3), min(minutes * attempt, 1440), gpus


def slurm_memory(gigabytes):
    """The two ways in which SLURM may write it."""
    return f"{gigabytes}000M", f"{gigabytes * 1000 / 1024:.2f}G"


def interrupt(cluster, rule, run, *command):
    """Do something to a rule's job while its script runs; the job's id, or None if the run ended before."""
    while not run.done():
        for job in cluster.jobs():
            if rule_of(job) == rule and job["JobState"] == "RUNNING" and cluster.in_steps(job["JobId"]):
                cluster.ask(*command, job["JobId"])
                return job["JobId"]
        time.sleep(0.2)
    return None


def state_of(cluster, number):
    return next(job["JobState"] for job in cluster.jobs() if job["JobId"] == number)


def start_now(cluster, job, run):
    """A job that was put back in the queue is let go once its first run has ended; SLURM would wait two minutes."""
    while not run.done() and (cluster.processes(job) or state_of(cluster, job) != "PENDING"):
        time.sleep(0.2)
    time.sleep(1)  # for slurmctld, which counts a late end of the first run as the second's
    try:
        cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
    except RuntimeError as error:  # on a busy machine the second run has begun by itself and ended
        if "already finished" not in str(error):
            raise


@pytest.fixture(scope="module")
def study(cluster, tmp_path_factory):
    """The folder in which the study has run, SLURM's records of it, and two jobs that were interrupted.

    One by the signal that the profile has SLURM send before the time is over, one by being put back in the queue, as
    pre-emption does.
    """
    folder = tmp_path_factory.mktemp("slurm")
    here = profile(folder / "ours", account="study", gpu_partition="gpu", cpu_partition="cpu", gpu_type="a100")
    quick = ["--jobs", 3, "--latency-wait", 5, "--slurm-init-seconds-before-status-checks", 2]
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(run_study, here, *quick, "--", *TARGETS, directory=folder)
        stopped = interrupt(cluster, "predistill", run, "scancel", "--signal=TERM")
        requeued = interrupt(cluster, "distill", run, "scontrol", "requeue")
        start_now(cluster, requeued, run)
        assert run.result().returncode == 0, run.result().stdout[-8000:]
    return folder, {job["JobId"]: job for job in cluster.jobs()}, stopped, requeued


def test_jobs_ask_for_what_the_profile_says(study, cluster):
    _, jobs, stopped, _ = study
    assert {rule_of(job) for job in jobs.values()} == set(ASKED)  # and no other rule is submitted
    finished = cluster.finished()
    attempts = Counter()
    for number, job in jobs.items():
        attempts[job["Comment"]] += 1  # rule and wildcards
        partition, cpus, memory, minutes, gpus = asked_by(rule_of(job), attempts[job["Comment"]])
        assert (job["Account"], job["Partition"], job["NumCPUs"]) == ("study", partition, str(cpus)), job
        assert job["MinMemoryNode"] in slurm_memory(memory), job
        assert job.get("TresPerJob") == (f"gres:gpu:a100:{gpus}" if gpus else None), job
        assert job["Requeue"] == "1"
        # what SLURM wrote down as the job ended
        entry = finished[number]
        assert (entry["Partition"], entry["ProcCnt"], entry["TimeLimit"]) == (partition, str(cpus), str(minutes))
        assert entry["JobState"] == job["JobState"] == ("FAILED" if number == stopped else "COMPLETED"), job
        print(job["Comment"], f"{partition} {cpus} CPUs {memory} GB {minutes} min {gpus} GPU", entry["JobState"])


def test_gpu_jobs_see_their_gpu_and_others_none(study, cluster):
    _, jobs, _, _ = study
    seen = cluster.visible_devices()
    for number, job in jobs.items():
        devices = "[01]" if ASKED[rule_of(job)][4] else ""
        assert len(seen[number]) > 1 and all(re.fullmatch(devices, ids) for ids in seen[number]), job


def test_a_job_that_is_told_to_stop_is_started_again_with_more(study):
    """Told by the signal that the profile has SLURM send before the time is over."""
    folder, jobs, stopped, _ = study
    first, second = [job for job in jobs.values() if job["Comment"] == jobs[stopped]["Comment"]]
    assert first["JobId"] == stopped and first["ExitCode"] != "0:0"
    assert first["TimeLimit"] == "12:00:00" and first["MinMemoryNode"] in slurm_memory(32)
    assert second["TimeLimit"] == "1-00:00:00" and second["MinMemoryNode"] in slurm_memory(64)
    assert (folder / "results/en_ro/predistill/seed1/model").is_dir()


def test_a_job_put_back_in_the_queue_runs_again_and_the_study_ends(study):
    folder, jobs, _, requeued = study
    assert (jobs[requeued]["Restarts"], jobs[requeued]["JobState"]) == ("1", "COMPLETED")
    assert all((folder / target).stat().st_size for target in TARGETS)


def test_preflight_passes(cluster, ours, tmp_path):
    done = run_study(ours, "--", "preflight", directory=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    # Others, such as those of benchmarks, labels, perplexity and export, are none of this study.
    rules = len(ASKED) + 18
    assert f"accepts the jobs of {rules} rules (study, gpu, cpu)" in done.stdout


def test_preflight_names_what_the_cluster_refuses(cluster, tmp_path):
    wrong = profile(tmp_path / "wrong", account="study", gpu_partition="gpu", cpu_partition="nowhere", gpu_type="h100")
    done = run_study(wrong, "--", "preflight", directory=tmp_path)
    assert done.returncode != 0
    for words in ("invalid partition specified: nowhere", "--gpus=h100:1", "at the top of profiles/slurm/config.yaml"):
        assert words in done.stdout, done.stdout[-4000:]
    assert "2 of " in done.stdout and "checks found a problem" in done.stdout


def test_a_profile_that_is_not_filled_in_stops_at_the_start(cluster, tmp_path):
    before = len(cluster.jobs())
    done = run_study("slurm", "--", "all", directory=tmp_path)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert "slurm_account and slurm_partition: not set" in done.stdout
    assert "account, gpu_partition and cpu_partition at the top of profiles/slurm/config.yaml" in done.stdout
    assert len(cluster.jobs()) == before and not (tmp_path / "results").exists()


def test_a_cluster_without_accounting_is_told_apart(cluster, ours, tmp_path):
    """Snakemake would ask sacct, which fails there, and wait for ever."""
    done = snakemake("--profile", ours, "--configfile", SMOKE, "--", "all", directory=tmp_path, check=False, timeout=60)
    assert done.returncode != 0
    assert "sacct: Slurm accounting storage is disabled" in done.stdout
    assert "slurm-status-command: squeue" in done.stdout


def launched(*resources, directory):
    """What a dry run says of a training job of these resources."""
    target = "results/en_ro/kl/seed1/train.jsonl"
    changed = ["--set-resources", *(f"distill:{each}" for each in resources)]
    return snakemake("-n", "-p", "--configfile", SMOKE, *changed, "--", target, directory=directory, check=False).stdout


def test_several_nodes_are_refused_where_they_could_not_meet(tmp_path):
    refused = "2 nodes need SLURM; set gpus and nodes at the top of profiles/slurm/config.yaml"
    assert refused in launched("nodes=2", directory=tmp_path)
    assert refused in launched("nodes=2", "gpu=4", directory=tmp_path)
    uneven = launched("nodes=2", "gpu=3", "mpi=srun", directory=tmp_path)
    assert "3 GPUs cannot be divided evenly among 2 nodes" in uneven


def test_each_node_starts_its_share_and_none_waits_for_ever(tmp_path):
    started = launched("nodes=2", "gpu=8", "mpi=srun", directory=tmp_path)
    assert "srun --nodes=2 --ntasks-per-node=1 --gpus-per-node=4 --wait=200 sh -c 'exec torchrun" in started
    assert "--nproc-per-node=4" in started and "--shutdown-timeout=200" in started


def test_training_on_two_nodes_takes_the_steps_of_one(study, cluster, tmp_path):
    """SLURM's record of the job names two nodes with a GPU each; the curve is that of one process."""
    folder, before, *_ = study
    for name in ("results", "data"):
        if (folder / name).exists():
            shutil.copytree(folder / name, tmp_path / name)
    trained = Path("results/en_ro/kl/seed1")
    shutil.rmtree(tmp_path / trained)
    here = profile(
        tmp_path / "two", account="study", gpu_partition="gpu", cpu_partition="cpu", gpu_type="a100", gpus=1, nodes=2
    )
    quick = ["--latency-wait", 5, "--slurm-init-seconds-before-status-checks", 2, "--retries", 0]
    done = run_study(here, *quick, "--", trained / "train.jsonl", directory=tmp_path)
    assert done.returncode == 0, done.stdout[-8000:]
    (job,) = [job for job in cluster.jobs() if job["JobId"] not in before and rule_of(job) == "distill"]
    assert (job["NumNodes"], job["JobState"], job["NodeList"]) == ("2", "COMPLETED", "one,two")
    assert job["TresPerNode"] == "gres:gpu:a100:1"
    curves = []
    for root in (folder, tmp_path):
        lines = map(json.loads, (root / trained / "train.jsonl").read_text().splitlines())
        curves.append([line["loss"] for line in lines if "loss" in line])
    assert len(curves[0]) > 1 and curves[1] == pytest.approx(curves[0], rel=1e-5)
    record = json.loads((tmp_path / trained / "model.provenance.json").read_text())
    assert record["stage"] == "distill"
