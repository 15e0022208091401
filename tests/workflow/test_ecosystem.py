"""What the project shows to others: the catalog, citations, continuous integration, the container, READMEs."""

import os
import re
import shlex
import subprocess
import tomllib
from importlib import metadata

import fdistill
import pytest
import yaml
from fdistill.artifacts import manifest, provenance
from fdistill.evaluation import metrics
from snake import ROOT, planned, snakemake

READMES = [ROOT / "config/README.md", ROOT / "profiles/README.md"]


def read(name):
    return yaml.safe_load((ROOT / name).read_text())


def test_all_say_the_same_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    latest = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)[1]
    assert fdistill.__version__ == version
    named = set(re.findall(r'tag="v([\d.]+)"', (ROOT / "config/README.md").read_text()))
    assert {version, latest, read("CITATION.cff")["version"], *named} == {version} and re.fullmatch(
        r"\d+\.\d+\.\d+", version
    )


def test_results_name_the_version_of_the_code_that_ran_whether_or_not_it_is_installed(monkeypatch):
    def distribution(name, known=metadata.distribution):
        if name == "fdistill":
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(metadata, "distribution", distribution)
    for versions in (manifest.versions(), provenance._versions(), metrics.versions(["bleu4"])):
        assert versions["fdistill"] == fdistill.__version__


def test_the_citation_is_complete():
    """Its form is checked by cffconvert in continuous integration."""
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software" and citation["message"]
    assert citation["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    paper = citation["preferred-citation"]
    assert [author["family-names"] for author in paper["authors"]] == ["Wen", "Li", "Du", "Mou"]
    assert (paper["type"], paper["year"]) == ("conference-paper", 2023)
    assert paper["doi"] == "10.18653/v1/2023.acl-long.605" and paper["url"].endswith("/2023.acl-long.605/")
    assert paper["title"] == "f-Divergence Minimization for Sequence-Level Knowledge Distillation"


def test_the_catalog_finds_what_it_asks_for():
    """A Snakefile in workflow/, instructions in config/, and how software is installed: what is claimed is there."""
    usage = read(".snakemake-workflow-catalog.yml")["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment"} and usage["mandatory-flags"]["flags"] == []
    deployment = usage["software-stack-deployment"]
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert deployment == {"conda": True, "report": True} and "conda:" in rules and "report(" in rules
    assert (ROOT / "workflow/Snakefile").exists() and (ROOT / "config/README.md").exists()


def test_the_catalogs_snakefile_is_the_same_workflow(tmp_path):
    target = "results/data_to_text/js/metrics.json"
    shown = snakemake("-n", "--snakefile", ROOT / "workflow/Snakefile", target, directory=tmp_path).stdout
    jobs = planned(shown).keys()
    assert len(jobs) > 7 and jobs == planned(snakemake("-n", target, directory=tmp_path).stdout).keys()
    assert "good condition" in snakemake("--snakefile", ROOT / "workflow/Snakefile", "--lint").stdout


# --- continuous integration


def test_continuous_integration_runs_the_gate_on_each_python():
    gate = read(".github/workflows/ci.yml")["jobs"]["gate"]
    pythons = gate["strategy"]["matrix"]["python"]
    assert pythons == ["3.11", "3.12"]  # text: 3.10 would be 3.1
    [step] = [step for step in gate["steps"] if step.get("run") == ".ci/run"]
    assert step["env"] == {"PYTHON": "python${{ matrix.python }}"}
    assert gate["container"] == "python:${{ matrix.python }}-bookworm"
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert lowest == f">={pythons[0]}"


def test_the_gate_takes_the_python_that_it_is_given(tmp_path):
    """Of `make`, which .ci/run calls, only what it would do is looked at."""
    environment = os.environ | {"PYTHON": "python3.99", "MAKEFLAGS": "-n", "VENV": str(tmp_path / "venv")}
    done = subprocess.run([ROOT / ".ci/run"], env=environment, capture_output=True, text=True, check=True)
    assert f"python3.99 -m venv {tmp_path}/venv" in done.stdout
    assert "ruff check" in done.stdout and "-m pytest" in done.stdout


# --- the container


def instructions():
    """The Dockerfile's instructions, as (word, rest)."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def test_the_container_has_the_locked_environment_and_what_a_run_reads():
    """hadolint checks the rest in continuous integration."""
    lines = instructions()
    stages = [rest for word, rest in lines if word == "FROM"]
    assert len(stages) == 2 and stages[0] == f"{stages[1]} AS environment"
    copied = [rest.split() for word, rest in lines if word == "COPY"]
    from_context = {source for parts in copied if not parts[0].startswith("--from") for source in parts[:-1]}
    assert [parts[0] for parts in copied if parts[0].startswith("--")] == ["--from=environment"]
    assert {path for path in from_context if not (ROOT / path).exists()} == set()
    assert from_context >= {"envs/requirements.txt", "Snakefile", "rules", "workflow", "config", "profiles"}
    runs = " ".join(rest for word, rest in lines if word == "RUN")
    assert "-r /tmp/requirements.txt" in runs
    arguments = [rest.split("=")[0] for word, rest in lines if word == "ARG"]
    assert arguments == ["TORCH_INDEX"] and f"${arguments[0]}" in runs  # one, for CPUs or CUDA
    assert [rest for word, rest in lines if word == "USER"] == ["1000"]
    [entry] = [rest for word, rest in lines if word == "ENTRYPOINT"]
    assert entry == '["snakemake", "--snakefile", "/opt/fdistill/Snakefile"]'


def test_what_the_container_copies_is_sent_to_its_builder_and_nothing_else():
    ignored = (ROOT / ".dockerignore").read_text().split("\n", 1)[1].split()
    assert ignored[0] == "*"
    kept = {line[1:] for line in ignored if line.startswith("!")}
    sources = {rest.split()[i] for word, rest in instructions() if word == "COPY" for i in range(len(rest.split()) - 1)}
    assert kept == {source.split("/")[0] for source in sources if source[0] not in "-/"}


# --- the READMEs of folders


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_every_link_and_file_of_a_readme_is_there(readme):
    text = readme.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links and [link for link in links if not (readme.parent / link).exists()] == []


def test_the_readme_of_the_configuration_names_every_file():
    named = re.findall(r"^\| `([\w/.]+)`", READMES[0].read_text(), re.M)
    here = {str(path.relative_to(ROOT / "config")) for path in (ROOT / "config").glob("*.yaml")}
    assert set(named) == here | {"tasks/NAME.yaml"}


@pytest.mark.parametrize("name", ["default", "slurm"])
def test_the_readme_of_profiles_explains_every_entry(name):
    entries = re.findall(r"^(?:# )?([a-z][a-z-]+):", (ROOT / "profiles" / name / "config.yaml").read_text(), re.M)
    section = READMES[1].read_text().split(f"## `{name}`")[1].split("\n## ")[0]
    explained = {
        entry for row in re.findall(r"^\| (`.*?`) \|", section, re.M) for entry in re.findall(r"`([\w-]+)`", row)
    }
    variables = (
        re.findall(r"^  (\w+):", (ROOT / "profiles" / name / "config.yaml").read_text().split("# ---")[1], re.M)
        if name == "slurm"
        else []
    )
    assert len(entries) > 4 and explained == {*entries, *variables}


def test_the_commands_of_the_readmes_run(tmp_path):
    """As dry runs."""
    text = "".join(path.read_text() for path in READMES)
    commands = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
    assert len(commands) == 5
    for command in commands:
        program, *arguments = shlex.split(command, comments=True)
        assert program == "snakemake"
        place = None if "--profile" in arguments else tmp_path
        done = snakemake(
            "-n", *[str(ROOT / word) if word.startswith("config/") else word for word in arguments], directory=place
        )
        assert planned(done.stdout), command


def test_the_readmes_study_and_module_work(tmp_path):
    [study] = re.findall(r"```yaml\n(.*?)```", READMES[0].read_text(), re.S)
    [module] = re.findall(r"```python\n(.*?)```", READMES[0].read_text(), re.S)
    assert '"../f-distill/Snakefile"' in module
    (tmp_path / "config").mkdir()
    (tmp_path / "config/study.yaml").write_text(yaml.safe_dump({"fdistill": yaml.safe_load(study)}))
    (tmp_path / "Snakefile").write_text(module.replace("../f-distill/Snakefile", str(ROOT / "Snakefile")))
    shown = snakemake("-n", "--snakefile", tmp_path / "Snakefile", directory=tmp_path).stdout
    assert ("fdistill_distill", "task=data_to_text, method=js, seed=3") in planned(shown)
