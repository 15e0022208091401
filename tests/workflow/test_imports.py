"""The imports: between the library's packages one way only, and in a job only what it works with."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from chain import Study
from layers import LAYER_OF
from snake import ROOT

LIBRARY = ROOT / "workflow/fdistill"

FORBIDDEN = {
    (package, other)
    for package in LAYER_OF
    for other in LAYER_OF
    if package != other and LAYER_OF[package] >= LAYER_OF[other]
}


def imports_of(file: Path) -> set[str]:
    """The packages of the library that a module imports from, anywhere in its text."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "fdistill":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fdistill."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("fdistill.")}
        assert not (isinstance(node, ast.ImportFrom) and node.level), (
            f"{file}: a relative import, which is not seen here"
        )
    return found


def test_every_module_is_in_a_package_that_has_its_layer():
    assert {path.name for path in LIBRARY.iterdir() if path.suffix == ".py"} == {"__init__.py"}
    assert {path.name for path in LIBRARY.iterdir() if path.is_dir() and path.name != "__pycache__"} == LAYER_OF.keys()


@pytest.mark.parametrize("package", sorted(LAYER_OF))
def test_packages_import_one_way(package):
    found = {(package, other): file for file in (LIBRARY / package).rglob("*.py") for other in imports_of(file)}
    assert {file.name: other for (_, other), file in found.items() if (package, other) in FORBIDDEN} == {}


def test_the_scripts_are_imported_by_nobody():
    assert not [file for file in LIBRARY.rglob("*.py") if "scripts" in imports_of(file)]


# --- what a job imports: seconds of its start, on a cluster those of every job

# Runs a script and prints what it has imported.
DRIVER = """
import atexit, runpy, sys
atexit.register(lambda: print(*sys.modules))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
WITH_A_TABLE = ["trivial", "score", "metrics", "metrics risks", "human kit", "human table"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study(tmp_path_factory.mktemp("study")).make()


def imported(study, stage):
    script, *arguments = study.command(stage)
    command = [sys.executable, "-c", DRIVER, ROOT / "workflow/scripts" / f"{script}.py", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("stage", WITH_A_TABLE)
def test_a_job_without_a_model_imports_no_torch(study, stage):
    assert imported(study, stage) & {"torch", "transformers", "matplotlib"} == set()
