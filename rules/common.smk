# The study's configuration, what wildcards may be, and the names that several rules share.
import json
import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# This folder's library, whichever is installed: jobs get the same one by PYTHONPATH below.
sys.path.insert(0, f"{FOLDER}/workflow")

from fdistill import config as study_config
from fdistill.config.cli import flags
from fdistill.config.schema import SAFEGUARDS
from fdistill.data.sources.files.local_files import input_files
from fdistill.runtime.errors import UserError

if Path(study_config.__file__).resolve().parents[3] != FOLDER.resolve():
    raise WorkflowError(f"{FOLDER}: another fdistill is loaded ({study_config.__file__}); import one checkout only")

# Used with `--software-deployment-method conda` only; otherwise rules run the Python that runs Snakemake, whether or not
# its environment is activated. Either way they find the library.
ENVIRONMENT = "../envs/fdistill.yaml"  # from the folder of the rules
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]),
    PYTHONPATH=os.pathsep.join([f"{FOLDER}/workflow", *filter(None, [os.environ.get("PYTHONPATH")])]),
)

# Commands begin with `exec`: the script takes the shell's place. What SLURM or a user sends to the job, such as "stop,
# your time is nearly over", reaches it, and Snakemake waits until it has kept its work. A shell would die at once and
# leave it behind.

CONFIG_FILES, SECTION = config_files()

try:
    STUDY = study_config.load(config, CONFIG_FILES, ROOT, SECTION, PROJECT)
except UserError as error:
    raise WorkflowError(str(error)) from None

# By environment, not as a parameter: where packages are kept changes nothing that is made from them (prepare.py).
os.environ.update(FDISTILL_CACHE=str(Path(STUDY.cache).expanduser().resolve()))

TRIVIAL = ["most_frequent", "copy"]
MODELS = ["teacher", *STUDY.all_methods]
SYSTEMS = [*TRIVIAL, *MODELS]
TABLE_SYSTEMS = ["teacher", *TRIVIAL, *STUDY.methods]
RISK_SYSTEMS = ["teacher", *STUDY.methods]


wildcard_constraints:
    task="|".join(STUDY.all_tasks),
    method="|".join(STUDY.all_methods),
    system="|".join(SYSTEMS),
    trivial="|".join(TRIVIAL),
    seed=r"\d+",


METRICS = [f"results/{task}/{system}/metrics.json" for task in STUDY.tasks for system in TABLE_SYSTEMS]
RISKS = [f"results/{task}/{system}/risk.json" for task in STUDY.tasks for system in RISK_SYSTEMS]
TABLES = [
    f"results/tables/{t}.{e}" for t in ("main", "risk", "datasets", "examples") for e in ("csv", "md", "tex", "html")
]
FIGURES = [f"results/figures/{task}.{kind}.svg" for task in STUDY.tasks for kind in ("curves", "risk")]
