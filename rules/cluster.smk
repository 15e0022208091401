# What jobs ask of a cluster. Last, because it looks at every rule.
import subprocess

PROFILE = "profiles/slurm/config.yaml"
UNSET = "SET-ME"  # what stands in the profile until a user has set it
OWN_RULES = workflow.modifier.rules  # not those of a Snakefile that imports this one as a module


def submits_to_slurm():
    """Whether this run submits jobs: not a dry run, and not the part of a run that is a job itself."""
    return workflow.executor_plugin is not None and workflow.executor_plugin.name == "slurm"


def slurm_jobs():
    """What each rule asks of SLURM; nothing when jobs run here."""
    if not submits_to_slurm():
        return {}
    asked = {}
    for submitted in workflow.rules:
        if submitted not in OWN_RULES or workflow.is_local(submitted):
            continue
        resources = submitted.expand_resources({}, [], 1)  # without wildcards and files, as for the first attempt
        asked[submitted.name] = {key: value for key, value in resources.items() if not key.startswith("_")}
    return asked


def slurm_profile_problem():
    """What is missing before the first job can be submitted; None when nothing is."""
    unset = {key for asked in slurm_jobs().values() for key, value in asked.items() if value == UNSET}
    if unset:
        return (
            f"{' and '.join(sorted(unset))}: not set. Write your cluster's account, gpu_partition and cpu_partition at the"
            f' top of {PROFILE} ("" for the cluster\'s default); `sinfo` lists partitions'
        )
    # Without accounting sacct fails, and Snakemake would wait for ever for jobs that have ended.
    if workflow.executor_settings.status_command == "sacct":
        tried = subprocess.run(["sacct", "--noheader", "-X"], capture_output=True, text=True)
        if tried.returncode:
            return f"sacct: {tried.stderr.strip()}. Set `slurm-status-command: squeue` in {PROFILE}"
    return None


# Once the jobs are known and before the first is submitted; not in a dry run.
onstart:
    if submits_to_slurm() and (problem := slurm_profile_problem()):
        raise WorkflowError(problem)
