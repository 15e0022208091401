# The study's configuration, the constraints of wildcards, and names that several rules use.
import hashlib
import json
import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from fdistill import config as study_config
from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.code import start_messages
from fdistill.artifacts.contents import content_hashes
from fdistill.artifacts.systems import of_size, split_size
from fdistill.config.schema_flags import flags
from fdistill.config.crosschecks import IN_FILES
from fdistill.config.files import with_types
from fdistill.config.logging_checks import sinks
from fdistill.config.model_checks import NLL, SCRATCH, is_whole, outputs_of, shares_tokenizer, student_family
from fdistill.config.other_teacher_checks import text_of
from fdistill.config.schema import SAFEGUARDS
from fdistill.config.usable_methods import impossible
from fdistill.config.unlabelled import has_unlabelled, learns_from_unlabelled, stated_counts, unlabelled_file
from fdistill.data.labels import files_of as label_files
from fdistill.data.outputs import files_of as output_files
from fdistill.data.packaged_models import PACKAGED_MODELS
from fdistill.data.sources.files.local_files import input_files
from fdistill.evaluation.metrics.encoders import package_release
from fdistill.losses.sequences import (
    FROM_STUDENT,
    OTHER_TEACHER_BEAM,
    REPLAYED_SAMPLES,
    TEACHER_BEAM,
    TEACHER_SAMPLES,
    TEACHER_SEQUENCES,
)
from fdistill.models import location
from fdistill.models.location import PACKAGE
from fdistill.models.student_layers import PRETRAINED, Start, origins
from fdistill.runtime.errors import UserError
from fdistill.sampling.cache_kinds import NONE as NO_CACHE

if Path(study_config.__file__).resolve().parents[1] != (FOLDER / "workflow/fdistill").resolve():
    raise WorkflowError(f"{FOLDER}: another fdistill is loaded ({study_config.__file__}); import one checkout only")

# Used only with `--software-deployment-method conda`. Otherwise rules run the Python that runs Snakemake, even if its
# environment is not activated.
ENVIRONMENT = "../envs/fdistill.yaml"  # relative to the folder of the rules
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]),
    PYTHONPATH=os.pathsep.join([f"{FOLDER}/workflow", *filter(None, [os.environ.get("PYTHONPATH")])]),
)

# Commands begin with `exec`: the script replaces the shell, so that a signal that SLURM or the user sends to the job
# reaches the script, and Snakemake waits until the script has saved its progress. A shell would die immediately and leave
# the script running.

CONFIG_FILES, SECTION = config_files()
COMMAND_LINE = workflow.config_settings

try:
    SETTINGS = with_types(config, COMMAND_LINE.config, COMMAND_LINE.config_args or (), SECTION)
    STUDY = study_config.load(SETTINGS, CONFIG_FILES, ROOT, SECTION, PROJECT)
except UserError as error:
    raise WorkflowError(str(error)) from None

# An environment variable (read by prepare.py) and not a parameter: another cache folder must not re-run anything.
os.environ.update(FDISTILL_CACHE=str(Path(STUDY.cache).expanduser().resolve()))

# Where the study writes. A folder of its own holds everything; the default leaves logs, checkpoints and curves beside it. A
# workflow that imports this one as a module may set the same names in its `module` statement (`pathvars:`).
BESIDE = "" if STUDY.results == study_config.RESULTS else f"{STUDY.results}/"


pathvars:
    results=STUDY.results,
    logs=f"{BESIDE}logs",
    benchmarks=f"{BESIDE}benchmarks",
    checkpoints=f"{BESIDE}checkpoints",
    curves=f"{BESIDE}curves",


RESULTS, CHECKPOINTS, CURVES = map(workflow.pathvars.apply, ("<results>", "<checkpoints>", "<curves>"))

TRIVIAL = ["most_frequent", "copy"]
# In all sizes: the untrained students, and those of any method.
INITIAL_STUDENTS = [of_size("init_student", size) for size in STUDY.all_sizes]
STUDENTS = [of_size(method, size) for size in STUDY.all_sizes for method in STUDY.all_methods]
MODELS = ["teacher", *STUDENTS]
SYSTEMS = [*TRIVIAL, *MODELS]


def ask(question, *arguments):
    """Return what a method of STUDY returns. A user's mistake becomes an error that is shown without a traceback."""
    try:
        return question(*arguments)
    except UserError as error:
        raise WorkflowError(str(error)) from None


# The files of each task whose teacher is from outside.
OUTPUTS = {
    task: outputs
    for task in STUDY.all_tasks
    if task not in STUDY.task_mistakes and (outputs := outputs_of(STUDY.task(task)))
}
TEACHER_TASKS = [task for task in STUDY.tasks if task not in OUTPUTS]  # whose teacher is a model


def one_of(tasks):
    """Return the regular expression of a wildcard that is one of `tasks`, which may be none."""
    return "|".join(tasks) or "(?!)"


# Regular expressions of the tasks whose teacher is from outside, and of all others.
OUTSIDE = one_of(OUTPUTS)
WITH_TEACHER = one_of(task for task in STUDY.all_tasks if task not in OUTPUTS)
# The tasks whose student is a model by itself, as that of a teacher from outside always is, and all others.
WHOLE = {
    task
    for task in STUDY.all_tasks
    if task not in STUDY.task_mistakes and is_whole(STUDY.task(task)["model"]["student"])
}
WHOLE_STUDENT, COPIED_LAYERS = one_of(sorted(WHOLE)), one_of(task for task in STUDY.all_tasks if task not in WHOLE)
# Outputs of a teacher from outside are imported, and those of every other system generated. The system is in the path
# behind the task, where the expression can look.
GENERATED = rf"(?!({OUTSIDE})/teacher/)\w+"
# The tasks that name a file of unlabelled inputs.
WITH_UNLABELLED_FILE = [
    task for task in STUDY.all_tasks if task not in STUDY.task_mistakes and unlabelled_file(STUDY.task(task))
]


def teachers(task):
    """Return the teacher if it answers the test split: one from outside may have no outputs for it."""
    return ["teacher"] if task not in OUTPUTS or OUTPUTS[task]["test"] else []


def model_systems(task):
    """Return the models that the study has of a task."""
    return [*([] if task in OUTPUTS else ["teacher"]), *ask(STUDY.students, task)]


def risk_systems(task):
    """Return the systems whose risks the study has of a task."""
    return [*teachers(task), *ask(STUDY.students, task)]


def table_systems(task):
    """Return the systems that the study has of a task."""
    return [*teachers(task), *TRIVIAL, *ask(STUDY.students, task)]


wildcard_constraints:
    task="|".join(STUDY.all_tasks),
    initial_student="|".join(INITIAL_STUDENTS),
    method="|".join(STUDENTS),
    system="|".join(SYSTEMS),
    trivial="|".join(TRIVIAL),
    seed=r"\d+",


METRICS = [f"{RESULTS}/{task}/{system}/metrics.json" for task in STUDY.tasks for system in table_systems(task)]
RISKS = [f"{RESULTS}/{task}/{system}/risk.json" for task in STUDY.tasks for system in risk_systems(task)]
# The teachers' labels. A study with labels of several teachers compares their quality.
LABEL_KINDS = [TEACHER_BEAM, OTHER_TEACHER_BEAM]
LABEL_QUALITY = [
    f"{RESULTS}/{task}/label_quality/{kind}.json"
    for task in STUDY.tasks
    for kind in LABEL_KINDS
    if OTHER_TEACHER_BEAM in STUDY.sequences(task)
]
COMPARISONS = [f"{RESULTS}/comparisons/{task}.json" for task in STUDY.tasks]
COMPARED = [f"{task}={file}" for task, file in zip(STUDY.tasks, COMPARISONS)]  # as an argument of tables.py
CLAIMS = [f"{RESULTS}/{name}" for name in ("claims.json", "claims.md", "tables/claims.tex")]
TABLES = [
    f"{RESULTS}/tables/{name}.{suffix}"
    for name in ("main", "risk", "datasets", "examples")
    for suffix in ("csv", "md", "tex", "html")
] + [f"{RESULTS}/tables/results.{suffix}" for suffix in ("parquet", "csv")]
# Offline methods of the study that it has online too, for the table that compares them.
ONLINE = {
    offline: f"{offline}_online" for offline in ("js", "tvd") if {offline, f"{offline}_online"} <= {*STUDY.methods}
}
if ONLINE:
    TABLES += [f"{RESULTS}/tables/online.{suffix}" for suffix in ("csv", "md", "tex", "html")]
if STUDY.stages:
    TABLES += [f"{RESULTS}/tables/stages.{suffix}" for suffix in ("csv", "md", "tex", "html")]
if STUDY.deployment:
    TABLES += [f"{RESULTS}/tables/deployment.{suffix}" for suffix in ("csv", "md", "tex", "html")]
# What the figure of the mixture compares.
MIXTURES = [method for method in ("js", "js_exact", "js_exact_held") if method in STUDY.methods]


def figure_kinds(task):
    """Return the kinds of figures that the study has of a task."""
    sizes = ["sizes"] if len(STUDY.sizes(task)) > 1 else []
    mixture = ["mixture"] if {"js", "js_exact"} <= {*MIXTURES} else []
    latency = ["latency"] if STUDY.deployment else []
    return ["curves", "risk", "cost", *latency, *sizes, *mixture]


FIGURES = [f"{RESULTS}/figures/{task}.{kind}.svg" for task in STUDY.tasks for kind in figure_kinds(task)]
REPORT_PAGE = f"{RESULTS}/report/index.html"

# Once a run, also in a dry run; jobs read this file too.
if workflow.is_main_process:
    for message in start_messages(Path(RESULTS), METRICS):
        logger.warning(message)
