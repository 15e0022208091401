"""The paper's study and the reference code's, cell by cell against the tables of docs/settings.md."""

import re
from collections.abc import Iterator

import pytest
import yaml
from fdistill import config
from fdistill.config.files import merge
from fdistill.models.student_layers import copied_layers
from snake import ROOT, snakemake

PAPER = [ROOT / "config/config.yaml", ROOT / "config/paper.yaml"]
CODE = [*PAPER, ROOT / "config/reference_code.yaml"]
DOCUMENT = (ROOT / "docs/settings.md").read_text()

TEACHER_DEPTH = {"bart": 12, "t5": 12, "gpt2": 24}  # of the four checkpoints, per stack
ONLINE = ("rkl", "js", "tvd")  # methods that the code gives the same samples of the student
Table = dict[str, list]


def load(files):
    merged = {}
    for file in files:
        merged = merge(merged, yaml.safe_load(file.read_text()))
    return config.load(merged, files, ROOT)


PAPERS, CODES = load(PAPER), load(CODE)
TASKS = PAPERS.tasks


# --- the document: {heading: {task: cells}} of the tables whose rows are tasks


def value(cell: str):
    """A cell's number, `none` as None, any other text as it is."""
    if cell == "none":
        return None
    try:
        return float(cell)
    except ValueError:
        return cell


def documented() -> dict[str, Table]:
    tables, heading = {}, None
    for line in DOCUMENT.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] in TASKS:
            assert cells[0] not in tables.setdefault(heading, {}), (heading, cells[0])
            tables[heading][cells[0]] = [value(cell) for cell in cells[1:]]
    return tables


# --- the configuration, in the document's order of columns


def data(task: str) -> list:
    settings = PAPERS.task(task)
    counts = settings["source"]["expected_counts"]
    text = settings["text"]
    return [counts["train"], counts["dev"], counts["test"], text["max_source_tokens"], text["max_target_tokens"]]


def models(task: str) -> list:
    model = PAPERS.task(task)["model"]
    student, depth = model["student"], TEACHER_DEPTH[model["family"]]
    copied = [copied_layers(student[stack], depth) if stack in student else [] for stack in ("encoder", "decoder")]
    layers = [", ".join(map(str, kept)) if len(kept) != 1 else kept[0] for kept in copied]
    return [model["family"], model["teacher"]["init"], *(None if kept == "" else kept for kept in layers)]


def stage(name: str):
    def cells(task: str) -> list:
        training, selection = PAPERS.task(task)["training"][name], PAPERS.selection(task, name)
        if training["epochs"] == 0:
            return [None, None, None, 0, *[None] * 7]
        common = (training["weight_decay"], training["max_grad_norm"], training["precision"], selection["max_inputs"])
        assert common == (0, 1, "fp32", None)  # as the text says of all stages
        return [
            training["optimizer"],
            training["learning_rate"],
            f"{training['batch_size']} × {training['accumulation']}",
            training["epochs"],
            training["warmup_steps"],
            ", ".join(training["freeze"]) or "nothing",
            training["evaluate_every"],
            selection["metric"],
            selection["num_beams"],
            selection["length_penalty"],
            selection["keep"],
        ]

    return cells


def predistill_terms(study, task: str) -> dict[str, dict]:
    """The terms by loss: Shleifer & Rush 2020, Eq. 5, all on ground truth."""
    terms = study.method("predistill", task)["terms"]
    assert {term["sequences"] for term in terms} == {"ground_truth"}
    assert [term["loss"] for term in terms] == ["kl", "nll", "hidden_mse"]
    return {term["loss"]: term for term in terms}


def predistill_objective(task: str) -> list:
    terms = predistill_terms(PAPERS, task)
    normalised = "yes" if terms["hidden_mse"]["parameters"]["normalize"] else "no"
    assert terms["nll"]["temperature"] == terms["hidden_mse"]["temperature"] == 1
    return [terms[loss]["weight"] for loss in terms] + [normalised, terms["kl"]["temperature"]]


def keys(settings: dict, *names: str) -> list:
    return [settings[name] for name in names]


LENGTHS = ("max_new_tokens", "min_new_tokens")


def teacher_beam(task: str) -> list:
    assert PAPERS.task(task)["teacher_beam"] == CODES.task(task)["teacher_beam"]
    return keys(
        PAPERS.task(task)["teacher_beam"], "mode", "num_beams", "length_penalty", *LENGTHS, "no_repeat_ngram_size"
    )


def decoding(task: str) -> list:
    settings, code = PAPERS.task(task)["decoding"], CODES.task(task)["decoding"]
    assert code == settings | {"top_k": 50 if settings["do_sample"] else 0} and settings["top_k"] == 0
    sampled = "yes" if settings["do_sample"] else "no"
    numbers = keys(settings, "num_beams", "top_p", "length_penalty", *LENGTHS, "no_repeat_ngram_size")
    return [sampled, *numbers[:4], *(number or None for number in numbers[4:])]


def js_weight(study, task: str, method: str = "js") -> float:
    """β, the weight of q, which is both the mixture's and that of the student's half."""
    on_teacher, on_student = study.method(method, task)["terms"]
    assert (on_teacher["loss"], on_student["loss"]) == ("kl_p_mixture", "kl_q_mixture")
    assert on_student["sequences"] == "student_samples"
    beta = on_student["weight"]
    assert [half["parameters"]["beta"] for half in (on_teacher, on_student)] == [beta, beta]
    assert on_teacher["weight"] == pytest.approx(1 - beta)
    return beta


def departures(task: str) -> list:
    studies = (PAPERS, CODES)
    epochs = [study.task(task)["training"]["predistill"]["epochs"] for study in studies]
    weights = [predistill_terms(study, task)["nll"]["weight"] for study in studies]
    betas = [js_weight(study, task) for study in studies]
    assert js_weight(PAPERS, task, "js_reference") == betas[1]
    return [*epochs, *weights, *betas]


def code_teacher_samples(task: str) -> list:
    samples = CODES.task(task)["teacher_samples"]
    assert samples["per_input"] == CODES.task(task)["training"]["distill"]["epochs"]
    return keys(samples, "mode", "num_beams", "top_k", "top_p", *LENGTHS, "per_input")


def code_student_samples(task: str) -> list:
    (one,) = {tuple(CODES.method(name, task)["student_samples"].items()) for name in ONLINE}
    return keys(dict(one), "mode", "num_beams", "top_k", "top_p", *LENGTHS)


def code_engine(task: str) -> list:
    return keys(CODES.method("engine", task)["student_samples"], "mode", "num_beams", *LENGTHS)


CELLS = {
    "Data": data,
    "Models": models,
    "Teacher": stage("teacher"),
    "Pre-distillation": stage("predistill"),
    "Pre-distillation's objective": predistill_objective,
    "Distillation": stage("distill"),
    "The teacher's hard sequences": teacher_beam,
    "Test decoding": decoding,
    "Paper against code": departures,
    "The teacher's samples in the code": code_teacher_samples,
    "The student's samples in the code": code_student_samples,
    "The student's sequences of ENGINE in the code": code_engine,
}


@pytest.mark.parametrize("heading", documented())
def test_the_document_says_what_the_configuration_says(heading):
    table = documented()[heading]
    assert list(table) == TASKS
    for task, cells in table.items():
        assert cells == CELLS[heading](task), task


def test_every_table_is_there():
    assert set(documented()) == set(CELLS)


# --- what the tables do not say


def test_tasks_and_methods_are_those_of_table_2():
    assert TASKS == ["dart", "xsum", "wmt16_en_ro", "commonsense_dialogue"]
    assert PAPERS.methods == ["mle", "predistill", "seqkd", "engine", "kl", "rkl", "js", "tvd"]
    assert (CODES.tasks, CODES.methods, CODES.seeds) == (TASKS, PAPERS.methods, PAPERS.seeds)


@pytest.mark.parametrize("task", TASKS)
def test_the_paper_samples_from_the_models_themselves(task):
    samples = PAPERS.task(task)["teacher_samples"]
    assert (samples["mode"], samples["per_input"]) == ("ancestral", 1)
    for name in PAPERS.methods:
        assert PAPERS.method(name, task)["student_samples"]["mode"] == "ancestral"


@pytest.mark.parametrize("task", TASKS)
def test_temperature_is_one_in_distillation(task):
    for study in (PAPERS, CODES):
        # Shleifer & Rush's `kd` has pre-distillation's objective with their temperature.
        for name in (name for name in study.all_methods if name not in ("predistill", "kd")):
            assert {term["temperature"] for term in study.method(name, task)["terms"]} == {1}


@pytest.mark.parametrize("task", TASKS)
def test_the_code_changes_of_the_objectives_only_what_the_document_says(task):
    """The weight of the ground truth in pre-distillation; JS's weights; the teacher's sequences of JS and TVD."""
    weights = {"weight", "parameters"}
    changes = {("predistill", "nll"): {"weight"}, ("js", "kl_p_mixture"): weights, ("js", "kl_q_mixture"): weights}
    for name in PAPERS.all_methods:
        paper, code = (study.method(name, task)["terms"] for study in (PAPERS, CODES))
        assert [term["loss"] for term in paper] == [term["loss"] for term in code]
        swapped = {"teacher_samples": "teacher_beam"} if name in ("js", "tvd") else {}
        assert [swapped.get(t["sequences"], t["sequences"]) for t in paper] == [t["sequences"] for t in code]
        for ours, theirs in zip(paper, code, strict=True):
            changed = {key for key in ours if ours[key] != theirs[key]} - {"sequences"}
            assert changed == changes.get((name, ours["loss"]), set()), (name, ours["loss"])


def test_the_paper_weighs_the_halves_of_js_and_tvd_alike():
    for name in ("js", "tvd", "js_exact"):
        for task in TASKS:
            assert [term["weight"] for term in PAPERS.method(name, task)["terms"]] == [0.5, 0.5]


def test_what_stands_before_a_source():
    prefixes = {task: PAPERS.task(task)["text"]["source_prefix"] for task in TASKS}
    english = "translate English to Romanian: "
    assert prefixes == {"dart": "", "xsum": " ", "wmt16_en_ro": english, "commonsense_dialogue": ""}


# --- the files' own comments


def settings_lines(task: str) -> Iterator[str]:
    """The lines of a task file that give a value, from `text` to the metrics: what the paper or its code decides."""
    text = (ROOT / f"config/tasks/{task}.yaml").read_text()
    for line in re.search(r"^text:\n(.*)^metrics:", text, re.M | re.S).group(1).splitlines():
        value_given = not re.search(r":(  #.*)?$", line)
        if value_given and not line.lstrip().startswith("#"):
            yield line


@pytest.mark.parametrize("task", TASKS)
def test_every_setting_names_its_source(task):
    lines = list(settings_lines(task))
    assert len(lines) > 25
    sources = ("paper", "code", "ours", "Shleifer & Rush", "T5's own", "not used", "as the other tasks")
    assert [line for line in lines if not any(source in line.partition("  #")[2] for source in sources)] == []


# --- as Snakemake runs it


def test_the_codes_samples_and_selection_reach_the_scripts(tmp_path):
    files = ["--configfile", ROOT / "config/paper.yaml", ROOT / "config/reference_code.yaml"]
    models = [f"results/xsum/{name}/seed42/model" for name in ("rkl", "seqkd", "predistill")]
    shown = snakemake("-n", "-p", *files, "--", *models, directory=tmp_path).stdout
    rkl, seqkd, predistill = (
        next(line for line in shown.splitlines() if f"--model {model} " in line) for model in models
    )
    for flag in ("mode=beam_sample", "num-beams=5", "top-k=30", "max-new-tokens=63"):
        assert f" --student-samples-{flag} " in rkl
    assert "--student-samples" not in seqkd  # which has none: another way to draw them does not run it again
    assert "--selection-num-beams=5 " in rkl and "--selection-num-beams=2 " in predistill
    assert all("--selection-length-penalty=0.5 " in command for command in (rkl, seqkd, predistill))
    assert '"loss": "nll", "weight": 0.2' in predistill
