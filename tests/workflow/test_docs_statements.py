"""The README and the documentation are right about files, registries, messages and packages."""

import functools
import re
import tomllib

import pytest
from doc_pages import FILES, PAGES, README, prose
from fdistill.artifacts.manifest import WEIGHTS
from fdistill.models.families import FAMILIES
from layers import LAYER_OF
from snake import ROOT


def test_the_readme_is_short_and_cites_this_version():
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"version = {{{version}}}" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page):
    written = {block.title.partition(",")[0] for block in FILES}
    paths = re.findall(r"`((?:config|workflow|profiles|envs|rules|tests|docs)/[\w/.-]*)`", prose(page))
    assert [path for path in paths if not (ROOT / path).exists() and path not in written] == []


def test_registries_and_modules_are_where_the_pages_say():
    extending, design = (prose(ROOT / "docs" / name) for name in ("extending.md", "design.md"))
    registries = re.findall(r"`([A-Z]{4,})`,? \(?`(workflow/[\w/.]+\.py)`", extending)
    assert len(registries) >= 5
    for name, path in registries:
        assert re.search(rf"^{name}\b", (ROOT / path).read_text(), re.M), (name, path)
    modules = re.findall(r"`(\w+/\w+\.py)`", design)
    assert len(modules) >= 8
    assert [name for name in modules if not (ROOT / "workflow/fdistill" / name).is_file()] == []


@functools.cache
def messages() -> str:
    """Return the text of the library, the scripts and the rules, with strings that span several lines joined."""
    files = [*(ROOT / "workflow").rglob("*.py"), *(ROOT / "rules").glob("*.smk")]
    text = re.sub(r"[\"']\s*\n\s*f?[\"']", "", "\n".join(path.read_text(encoding="utf-8") for path in files))
    return text.replace("{WEIGHTS}", WEIGHTS)


def quoted_messages() -> list[str]:
    """Return the messages in the first column of the tables of refusals."""
    text = (ROOT / "docs/troubleshooting.md").read_text()
    rows = [line.split(" | ")[0] for line in text[text.index("## Refusals") :].splitlines() if line.startswith("| `")]
    return [double or single for row in rows for double, single in re.findall(r"`` (.*?) ``|`([^`]+)`", row)]


def test_the_page_has_refusals():
    assert len(quoted_messages()) > 40


@pytest.mark.parametrize("message", quoted_messages())
def test_every_refusal_that_the_page_explains_exists(message):
    assert message in messages()


def test_no_target_follows_the_files_of_configfile():
    """Snakemake would read it as one more configuration file."""
    texts = [*(page.read_text() for page in PAGES), *(path.read_text() for path in (ROOT / "config").glob("*.yaml"))]
    arguments_of_commands = [
        arguments for text in texts for arguments in re.findall(r"snakemake [^`#\n]*--configfile ([^`#\n]*)", text)
    ]
    assert len(arguments_of_commands) >= 5
    written = {block.title for block in FILES}
    for arguments in arguments_of_commands:
        files = re.split(r" -", arguments)[0].split()
        assert files and all((ROOT / name).is_file() or name in written for name in files), arguments


def test_the_list_of_packages_is_in_the_order_of_their_imports():
    listed = re.findall(r"^\| \[(\w+)\]", (ROOT / "docs/reference/index.md").read_text(), re.M)
    assert set(listed) == set(LAYER_OF)
    assert [LAYER_OF[package] for package in listed] == sorted(LAYER_OF[package] for package in listed)


def test_the_table_of_families_is_that_of_the_library():
    rows = re.findall(r"^\| (`.*?) \|.*\| (yes|no)\b.* \|$", (ROOT / "docs/families.md").read_text(), re.M)
    listed = [(name, engine == "yes") for names, engine in rows for name in re.findall(r"`(\w+)`", names)]
    assert len(listed) == len(FAMILIES)
    assert dict(listed) == {name: family.ctranslate2 is not None for name, family in FAMILIES.items()}
