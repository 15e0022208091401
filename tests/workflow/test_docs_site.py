"""The site of the documentation builds; a broken link or a missing docstring fails the build."""

import importlib.util
import shutil
import subprocess
import sys

import griffe
import pytest
import yaml
from doc_pages import run
from fdistill.config.schema import section
from fdistill.data.sources import SOURCES
from snake import ROOT


def hook(name: str):
    """Import a module of docs/hooks."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs/hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("built")
    run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder], ROOT)
    return folder


def test_the_site_builds_without_a_warning_and_has_every_key_and_package(built):
    assert yaml.compose((ROOT / "mkdocs.yml").read_text())  # it has tags that a safe loader does not know
    reference = (built / "configuration/index.html").read_text()
    for part in ("study", "task", "method", "claim", "training", "offline_sampling"):
        for key in section(part)["properties"]:
            assert f"<code>{key}</code>" in reference, key
    assert all(f"<code>kind: {kind}</code>" in reference for kind in SOURCES)
    for package, name in [
        ("losses", "divergences.kl"),
        ("models", "students.init_student"),
        ("training", "trainer.Trainer"),
    ]:
        assert f'id="fdistill.{package}.{name}"' in (built / "reference" / package / "index.html").read_text()


def test_a_broken_link_and_a_missing_docstring_fail_the_build(tmp_path):
    for name in ("README.md", "mkdocs.yml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("docs", "workflow"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "docs/cost.md").open("a") as page:
        page.write("\n[nowhere](no_such_page.md)\n")
    with (tmp_path / "workflow/fdistill/losses/chunks.py").open("a") as module:
        module.write("\n\ndef undescribed():\n    pass\n")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", tmp_path / "site"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode != 0
    assert (
        "no_such_page.md" in process.stderr and "fdistill.losses.chunks.undescribed has no docstring" in process.stderr
    )


def test_public_functions_without_a_docstring_are_listed(tmp_path):
    code = '"""Module."""\n\nclass A:\n    """A."""\n\n    def f(self): ...\n    def _g(self): ...\n\ndef h(): ...\n'
    (tmp_path / "some.py").write_text(code)
    module = griffe.load("some", search_paths=[tmp_path])
    assert list(hook("reference").undocumented(module)) == ["some.A.f", "some.h"]
