# The study's configuration, what wildcards may be, and the names that several rules share.
import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from fdistill import config as study_config
from fdistill.cli import flags
from fdistill.errors import UserError

ROOT = Path(os.path.relpath(workflow.basedir))
# Rules run the Python that runs Snakemake, whether or not its environment is activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

try:
    STUDY = study_config.load(config, [Path(path) for path in workflow.configfiles], ROOT)
except UserError as error:
    raise WorkflowError(str(error)) from None

# By environment, not as a parameter: where packages are kept changes nothing that is made from them (prepare.py).
os.environ["FDISTILL_CACHE"] = str(Path(STUDY.cache).expanduser().resolve())

TRIVIAL = ["most_frequent", "copy"]
SYSTEMS = ["teacher", *TRIVIAL, *STUDY.all_methods]
TABLE_SYSTEMS = ["teacher", *TRIVIAL, *STUDY.methods]
RISK_SYSTEMS = ["teacher", *STUDY.methods]


wildcard_constraints:
    task="|".join(STUDY.all_tasks),
    method="|".join(STUDY.all_methods),
    system="|".join(SYSTEMS),
    trivial="|".join(TRIVIAL),
    split="train|dev|test",
    seed=r"\d+",


def script(name):
    """The script of a rule. Rules list it among their inputs, so that editing it re-runs them."""
    return str(ROOT / "workflow" / "scripts" / f"{name}.py")


def task_of(wildcards):
    return STUDY.task(wildcards.task)


def seeds_of(system):
    """Students are trained once per seed; the teacher is trained once, and the trivial systems have no chance in them."""
    return STUDY.seeds if system in STUDY.all_methods else [STUDY.teacher_seed]


def results(task, system, name):
    """One file per seed of a system."""
    return [f"results/{task}/{system}/seed{seed}/{name}" for seed in seeds_of(system)]


def title_of(system):
    titles = {"teacher": "Teacher", "most_frequent": "Most frequent target", "copy": "Copy of the source"}
    return titles.get(system) or STUDY.method(system)["title"]


def teacher_model(wildcards):
    return f"results/{wildcards.task}/teacher/seed{STUDY.teacher_seed}/model"


def run_flags(seed):
    return ["--device", STUDY.device, "--seed", str(seed)]


def text_flags(wildcards):
    return flags("text", task_of(wildcards)["text"])


def training_flags(wildcards, stage):
    """Flags of a training script: lengths, training settings, selection on the development split."""
    task = task_of(wildcards)
    selected = task["selection"]["metric"]
    options = {selected: task["metric_options"][selected]} if selected in task["metric_options"] else {}
    return [
        *text_flags(wildcards),
        *flags("training", task["training"][stage]),
        *flags("selection", task["selection"], prefix="selection-"),
        "--metric-options",
        json.dumps(options),
    ]


METRICS = [f"results/{task}/{system}/metrics.json" for task in STUDY.tasks for system in TABLE_SYSTEMS]
RISKS = [f"results/{task}/{system}/risk.json" for task in STUDY.tasks for system in RISK_SYSTEMS]
TABLES = [
    f"results/tables/{t}.{e}" for t in ("main", "risk", "datasets", "examples") for e in ("csv", "md", "tex")
]
FIGURES = [f"results/figures/{task}.{kind}.svg" for task in STUDY.tasks for kind in ("curves", "risk")]
