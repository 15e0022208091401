# What jobs request of a SLURM cluster. This file is included last, because it reads the resources of every rule.
import subprocess

from fdistill.runtime.folder_lock import claim
from fdistill.runtime.terminal import show_job_lines
from snakemake.logging import logger

PROFILE = "profiles/slurm/config.yaml"
UNSET = "SET-ME"  # the profile's value of a setting that the user has to set
OWN_RULES = workflow.modifier.rules  # without those of a Snakefile that imports this one as a module


def submits_to_slurm():
    """Return whether this run submits jobs. A dry run does not, and neither does Snakemake inside a job."""
    return workflow.executor_plugin is not None and workflow.executor_plugin.name == "slurm"


def slurm_jobs():
    """Return the resources that each rule requests of SLURM; empty when jobs run on this machine."""
    if not submits_to_slurm():
        return {}
    requests = {}
    for submitted in workflow.rules:
        if submitted not in OWN_RULES or workflow.is_local(submitted):
            continue
        resources = submitted.expand_resources({}, [], 1)  # without wildcards and files, for the first attempt
        requests[submitted.name] = {key: value for key, value in resources.items() if not key.startswith("_")}
    return requests


def slurm_profile_problem():
    """Return what must be set before the first job can be submitted; None when nothing is missing."""
    unset = {key for request in slurm_jobs().values() for key, value in request.items() if value == UNSET}
    if unset:
        return (
            f"{' and '.join(sorted(unset))}: not set. Write your cluster's account, gpu_partition and cpu_partition at the"
            f' top of {PROFILE} ("" for the cluster\'s default); `sinfo` lists partitions'
        )
    # On a cluster without accounting, sacct fails, and Snakemake would wait forever for jobs that have ended.
    if workflow.executor_settings.status_command == "sacct":
        test = subprocess.run(["sacct", "--noheader", "-X"], capture_output=True, text=True)
        if test.returncode:
            return f"sacct: {test.stderr.strip()}. Set `slurm-status-command: squeue` in {PROFILE}"
    return None


# Runs when the jobs are known, before the first is submitted; not in a dry run.
onstart:
    if submits_to_slurm() and (problem := slurm_profile_problem()):
        raise WorkflowError(problem)
    made = {job.rule.name for job in workflow.dag.jobs}
    if made != {"preflight"}:  # which writes nothing that another run reads
        try:
            claim(Path(".snakemake/fdistill/run.lock"))
        except UserError as error:
            raise WorkflowError(str(error)) from None
    result = f"; the results are in {REPORT_PAGE} and {RESULTS}/tables" if "report_page" in made else ""
    show_job_lines(logger, workflow.output_settings, len(workflow.dag), result)


onerror:
    logger.info(
        "Stopped. What is finished is kept. After an interruption the same command goes on, and training resumes from its"
        " checkpoint; after an error, mend what the lines above name first."
    )
