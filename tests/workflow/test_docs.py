"""Every command and example of the README and the documentation works."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas
import pytest
import tiny
import yaml
from doc_pages import BLOCKS, COMMANDS, FILES, Block, commands_of, run, words
from fdistill.artifacts.files import write_parquet
from fdistill.config.schema import section
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation.tables import write_frame
from fdistill.evaluation.tables.frame import COLUMNS
from fdistill.models.checkpoints import save
from fdistill.models.students import init_student
from fdistill.runtime.validation import problems
from fdistill.training.sinks import SINKS
from snake import ROOT
from snakemake.cli import get_argument_parser

# --- checks of commands, by how a command begins; `site` is a copy of the repository with the files of all pages


def check_make(command, site):
    """Run make dry, as if nothing were up to date."""
    process = subprocess.run([*words(command), "-n", "-B"], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0 and process.stdout, process.stderr


def check_activate(command, site):
    """Check that `make env` creates the environment that is activated."""
    printed = subprocess.run(["make", "-n", "-B", "env"], cwd=ROOT, capture_output=True, text=True).stdout
    assert f"-m venv {Path(words(command)[1]).parents[1]}\n" in printed


def check_unlock(command, site):
    run([sys.executable, "-m", *words(command)], site)


def check_script(command, site):
    """Check that a script accepts all of its arguments: it fails only because an input is missing."""
    _, script, *arguments = words(command)
    if arguments == ["--help"]:  # of every script, in test_project.py
        assert (ROOT / script).is_file()
        return
    process = subprocess.run([sys.executable, script, *arguments], cwd=site, capture_output=True, text=True)
    assert process.returncode == 1 and re.search("no such (file|folder)", process.stderr), process.stderr


def check_tests(command, site):
    assert all((ROOT / word).is_file() for word in words(command)[3:])


def check_extra(command, site):
    """Check that the project has the extra, without installing it."""
    (extra,) = re.findall(r"\.\[(\w+)\]$", words(command)[-1])
    assert extra in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def check_python(command, site):
    """Run the command as it is written."""
    run([sys.executable, *words(command)[1:]], site)


def check_files(command, site):
    """Check what the command has created: the fixture `site` runs it."""
    assert (site / "capitals").is_dir()


def check_snakemake(command, site):
    """Check that the command belongs to a group, which `test_snakemake_runs_the_commands_dry` runs dry."""
    assert any(command in group for group in GROUPS.values())


CHECKS = {
    r"make ": check_make,
    r"source .venv/bin/activate": check_activate,
    r"snakemake --unlock": check_unlock,
    r"snakemake ": check_snakemake,
    r"python workflow/scripts/": check_script,
    r"python -m pytest tests/": check_tests,
    r"python -m pip install -e ": check_extra,
    r"python (-c |make_pairs)": check_python,
    r"(mkdir|printf|echo) ": check_files,
}


# Parts of the repository that `site` lacks: what runs leave behind, and what no command needs.
NOT_COPIED = (".*", "results", "checkpoints", "logs", "benchmarks", "site", "__pycache__", "docs", "tests")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A copy of the repository to which a reader has added all that the pages show: files, registry entries, data."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT, site, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED), dirs_exist_ok=True)
    for block in FILES:
        write(site, block)
    for block in BLOCKS:
        if block.language == "sh" and "mkdir" in block.text:
            run(
                ["sh", "-e", "-c", "\n".join(c for c in commands_of(block.text) if re.match("mkdir|printf|echo", c))],
                site,
            )
    (site / "results/data_to_text/human/ratings/ana.json").touch()  # what a person puts there
    (site / "outputs").mkdir()
    (site / "outputs/capitals.train.jsonl").touch()  # what an endpoint has answered
    return site


def write(site: Path, block: Block) -> None:
    """Write a block where its title says: `FILE`, `FILE, at the end` or `FILE, below: START OF A LINE`."""
    name, _, place = block.title.partition(", ")
    path = site / name
    if not place:
        assert not path.exists(), f"{block.page}: {name} is there already"
        path.write_text(block.text, encoding="utf-8")
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if place != "at the end":
        start = place.removeprefix("below: ")
        (number,) = [i for i, line in enumerate(lines, start=1) if line.strip().startswith(start)]
    else:
        number = len(lines)
    path.write_text("".join([*lines[:number], "\n"[: place == "at the end"], block.text, *lines[number:]]), "utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_checked(command, site):
    checks = [check for pattern, check in CHECKS.items() if re.match(pattern, command)]
    assert checks, f"no way to check this command: {command}"
    checks[0](command, site)


# --- commands of Snakemake: one dry run for all that differ only in their targets


def options_and_targets(command: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the options of a command that matter to a dry run, and its targets, as Snakemake parses them."""
    arguments = words(command)[1:]
    targets = get_argument_parser().parse_args(arguments).targets
    assert targets, f"{command}: no target"
    line = re.sub(r"(?<!\S)(-[np]|-c\d+|--(cores|directory|report) \S+)(?!\S)", "", shlex.join(arguments))
    return tuple(word for word in shlex.split(line) if word not in (*targets, "--")), tuple(targets)


def commands_by_options() -> dict[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return {options: {command: targets}}."""
    groups: dict = {}
    for command in COMMANDS:
        if command.startswith("snakemake ") and "--unlock" not in command:
            options, targets = options_and_targets(command)
            groups.setdefault(options, {})[command] = targets
    return groups


GROUPS = commands_by_options()


@pytest.mark.parametrize("options", GROUPS, ids=lambda options: " ".join(options) or "no options")
def test_snakemake_runs_the_commands_dry(options, site):
    targets = dict.fromkeys(target for group in GROUPS[options].values() for target in group)
    run([sys.executable, "-m", "snakemake", "-n", "--quiet", "all", *options, "--", *targets], site)


# --- examples


def test_every_fenced_block_is_checked_or_only_shown():
    assert {block.language for block in BLOCKS} <= {"sh", "yaml", "python", "json", "text", "mermaid", "bibtex"}
    untitled = [
        (block.page, block.language) for block in BLOCKS if block.language in ("python", "yaml") and not block.title
    ]
    shown = [(page, "python") for page in ("README.md", "docs/metrics.md", "docs/your_data.md")]
    assert sorted(untitled) == sorted([*shown, ("docs/methods.md", "yaml"), ("docs/targets.md", "yaml")])  # below


def block_on(page: str, language: str) -> str:
    """The one block of a language without a title on a page."""
    (text,) = [b.text for b in BLOCKS if (b.page, b.language, b.title) == (page, language, "")]
    return text


def test_the_sinks_of_curves_are_a_section_of_a_study():
    (settings,) = yaml.safe_load(block_on("docs/targets.md", "yaml")).values()
    assert not problems(settings, section("logging")) and settings.keys() == SINKS.keys()


def test_the_readme_loads_a_student_in_six_lines(tmp_path, capsys):
    code = block_on("README.md", "python")
    assert len([line for line in code.splitlines() if line]) == 6
    teacher = tiny.checkpoint("bart", max_position_embeddings=64)
    save(init_student(teacher, {"encoder": 1, "decoder": 1}), tmp_path / "model")
    (folder,) = re.findall(r'"(results/.*?)"', code)
    exec(code.replace(folder, str(tmp_path / "model")), {})
    assert set(capsys.readouterr().out.split()) <= {*tiny.LETTERS, "<unk>"}


def test_outputs_are_read_as_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = block_on("docs/your_data.md", "python")
    test, outputs = re.findall(r'"(studies/.*?)"', code)
    row = {"id": ["a"], "group": ["g"], "source": ["os getcwd"], "references": [["Return it."]]}
    write_parquet(test, row, SPLIT)
    write_parquet(outputs, {"id": ["a"], "hypothesis": ["Return."], "n_tokens": [2], "finished": [True]}, GENERATIONS)
    exec(code, {})
    assert "os getcwd" in capsys.readouterr().out


def test_all_results_are_read_as_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = block_on("docs/metrics.md", "python")
    rows = [("task", "kl", "bleu4", 1, 2.0), ("task", "kl", "bleu4", None, 12.5), ("task", "kl", "ter", None, 3.5)]
    places = [dict(zip(("task", "system", "metric", "seed", "value"), row, strict=True)) for row in rows]
    frame = pandas.DataFrame(places, columns=list(COLUMNS)).astype(COLUMNS)
    write_frame(frame, [Path(path) for path in re.findall(r'"(results/.*?)"', code)])
    exec(code, {})
    assert re.search(r"kl +12\.5 +3\.5\n", capsys.readouterr().out)
    described = (ROOT / "docs/metrics.md").read_text().partition("## All results")[2]
    assert set(COLUMNS) <= set(re.findall(r"`(\w+)`", described))


def test_the_method_shown_is_the_one_that_runs():
    shown = yaml.safe_load(block_on("docs/methods.md", "yaml"))
    methods = yaml.safe_load((ROOT / "config/methods.yaml").read_text())
    assert shown == {name: methods[name] for name in shown}


# Uses the examples of docs/extending.md: it runs in a process of its own, with the library of the copy that has them.
EXTENDED = """
import pathlib, tempfile, tiny, torch
from fdistill.data.batches import source_batch
from fdistill.evaluation.metrics import evaluate
from fdistill.losses.divergences import DIVERGENCES
from fdistill.losses.step_losses import LOSSES
from fdistill.models.checkpoints import Checkpoint, from_scratch, load, save
from fdistill.models.families import FAMILIES
from fdistill.models.students import init_student

p, q = torch.rand(2, 5, 7, dtype=torch.float64).softmax(-1)
torch.testing.assert_close(DIVERGENCES["le_cam"](p.log(), q.log()), ((p - q) ** 2 / (p + q)).sum(-1))
assert "le_cam" in LOSSES

score = evaluate(["a b", "c"], [["x", "a b"], ["d"]], ["exact"])["metrics"]["exact"]
assert (score["value"], score["signature"]) == (50.0, "exact|refs:any")

family = FAMILIES["blenderbot"]
teacher = from_scratch(family, tiny.CONFIGS["bart"], tiny.tokenizer("bart"), seed=0)
with tempfile.TemporaryDirectory() as folder:
    save(init_student(teacher, {"encoder": 1, "decoder": 2}), pathlib.Path(folder) / "model")
    student = load(pathlib.Path(folder) / "model").model
assert student.module.config.model_type == "blenderbot" and len(student.module.model.encoder.layers) == 1
source, target = [5, 6, 2], [7, 8, 2]
student.module.eval()
batch = source_batch(student, [source])
with torch.no_grad():
    log_probs = tiny.logits(Checkpoint(student, teacher.tokenizer), batch, torch.tensor([target]))[0].log_softmax(-1)
    torch.testing.assert_close(log_probs, tiny.reference_log_probs(student, source, target), rtol=1e-4, atol=1e-4)
"""


def test_the_examples_of_extending_work(site):
    process = subprocess.run(
        [sys.executable, "-c", EXTENDED],
        env={"PYTHONPATH": f"{site / 'workflow'}:{ROOT / 'tests'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    all_at_once = {"model": {"family": "blenderbot"}, "metrics": ["bleu4", "exact"]}
    config = ["--config", f"task_overrides={{operations: {all_at_once}}}"]
    run(
        [sys.executable, "-m", "snakemake", "-n", "-q", "all", *config, "--", "results/operations/le_cam/metrics.json"],
        site,
    )
