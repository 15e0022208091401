# Where this workflow and its configuration are: in the folder of the Snakefile that runs, unless another Snakefile
# imports this one as a module (config/README.md).
import os
import re
import sys
import tarfile
import tempfile
from pathlib import Path

from snakemake.exceptions import WorkflowError

IS_MODULE = not workflow.modifier.is_main_snakefile()


def workflow_folder():
    """The folder of this workflow's Snakefile, as an absolute path."""
    rules = workflow.current_basedir
    if hasattr(rules, "hosted_repo"):
        return unpacked(rules.hosted_repo.repo, rules.ref)
    if not isinstance(rules, os.PathLike):
        raise WorkflowError(f"{rules}: import the workflow from a folder, or by github(...) or gitlab(...)")
    return Path(rules).parent


def unpacked(repository, ref):
    """A commit's files, from the clone that Snakemake makes for a remote module: jobs need more of them than its rules."""
    commit = repository.commit(ref).hexsha
    folder = Path(".snakemake/fdistill", commit).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        with tempfile.TemporaryFile() as file, tempfile.TemporaryDirectory(dir=folder.parent) as partial:
            repository.archive(file, commit)
            file.seek(0)
            with tarfile.open(fileobj=file) as archive:
                archive.extractall(f"{partial}/files", filter="data")
            Path(partial, "files/COMMIT").write_text(commit)  # for the records of what jobs write
            try:
                os.rename(f"{partial}/files", folder)
            except OSError:
                if not folder.exists():  # or else another job has unpacked it meanwhile
                    raise
    return folder


def config_files():
    """The files that `config` was read from, and the keys under which it stands in them."""
    files = [Path(file) for file in workflow.configfiles]
    if not IS_MODULE:
        return files, ()
    if not workflow.modifier.skip_configfile:  # the module statement names no configuration: the default holds
        return [*map(Path, workflow.overwrite_configfiles), FOLDER / "config/config.yaml"], ()
    keys = keys_of(config, workflow.modifier_stack[0].globals["config"])
    return ([], ()) if keys is None else (files, keys)


def keys_of(section, settings):
    """Where a section of `settings` is; None if it is nowhere in them."""
    if section == settings:
        return ()
    for key, value in settings.items() if isinstance(settings, dict) else ():
        if (keys := keys_of(section, value)) is not None:
            return (key, *keys)
    return None


def names_a_configuration():
    """Whether the statement that imports this module has `config:`. Snakemake drops it when its value is null."""
    statement = rf"^(\s*)module\s+{re.escape(workflow.modifier.namespace)}\s*:.*\n(?:(?:\1\s+.*)?\n)*?\1\s+config\s*:"
    texts = (Path(str(file)).read_text() for file in workflow.included if Path(str(file)).is_file())
    return any(re.search(statement, text, re.M) for text in texts)


if workflow.modifier.path_modifier.prefix or workflow.modifier.path_modifier.modifies_prefixes:
    raise WorkflowError("module of f-DISTILL: it cannot have a prefix or replace_prefix; run it in a folder of its own")

FOLDER = workflow_folder()
ROOT = Path(os.path.relpath(FOLDER))

# The library in this folder, even if another version is installed; PYTHONPATH in common.smk does the same for jobs.
sys.path.insert(0, f"{FOLDER}/workflow")

from fdistill.artifacts.yaml_files import read_mapping
from fdistill.runtime.errors import UserError

if not isinstance(config, dict):
    raise WorkflowError(f"module of f-DISTILL: its `config:` is {config!r:.80}; give it a mapping, the study")
if IS_MODULE and not config and names_a_configuration():
    raise WorkflowError(
        "module of f-DISTILL: its `config:` is empty; write the study there, with tasks, methods and seeds"
    )
if not workflow.modifier.skip_configfile:
    try:  # before Snakemake reads the file: it would write out every alias
        read_mapping(Path(FOLDER, "config/config.yaml"), "config/config.yaml")
    except UserError as error:
        raise WorkflowError(str(error)) from None
PROJECT = Path() if IS_MODULE else None  # the importing project's folder may have tasks and methods of its own
