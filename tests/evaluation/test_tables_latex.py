"""The tables in a real LaTeX: it compiles them without a complaint, and the pages have every text and every mark."""

import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import human_cases
import matplotlib
import pandas as pd
import pytest
import report_files
import shleifer_rush_files
from aggregated_files import main_table, risk_table
from bench_files import write_layers
from debian import Unavailable, install
from deployment_files import SYSTEMS as MODELS
from deployment_files import write_deployment
from fdistill.artifacts.files import read_json, write_json, write_parquet
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation import published, tables
from fdistill.evaluation.claims import CLAIMS_FILE
from fdistill.evaluation.human.analysis import analyse
from fdistill.evaluation.tables.claims import SIGNS
from fdistill.evaluation.tables.formats import visible, write
from fdistill.evaluation.tables.latex import NEEDS
from fdistill.evaluation.tables.table import Table, cells_of, panels
from online_cases import SYSTEMS as ONLINE_SYSTEMS
from online_cases import TASKS as ONLINE_TASKS
from online_cases import write_study as write_online
from paper_tables import LAYOUT, STUDENTS, TABLE_2, TABLE_3, TASKS, metrics_file, printed, write_metrics, write_risks

LATIN = [
    r"\end{tabular} \\ {x} $1$ & 50% #2 a_b c^d ~e \input{f}",
    "<p> | \"q\" 'r' ''s'' `t` ``u'' ,,v'' <<w>> ?` !` a--b---c",
    *("[2pt] x", "* y", "", " ", "\nafter a line break", "two\n\nparagraphs\tand a tab", "first flag: fi ffl"),
    "Größe, façade, œuvre, łódź, čtyři, 4 ± 5 − 1 – “2” …",
    "documentation of internationalization characteristics " * 5,
    *("x" * 300, "https://example.org/" + "a_b/" * 60, "\\" * 90),
]
COMPOSED = "țară și • 3 × 20 € ™"  # pdfLaTeX prints them from parts and from a font whose characters have no names
OTHERS = ["Владимир читает", "Ελληνικά", "без-пробелов" * 12, "a\u202eb\x7fc"]
TITLES = {"task": "[2pt] R&D_task: 100%", "other": r"* \other"}
SYSTEMS = {"teacher": "Teacher", "kl": "[x] KL_{1}"}


@dataclass(frozen=True)
class Document:
    """What LaTeX and the readers of its PDF say about a document; `text` is in the order of the source."""

    log: str
    text: str
    styled: str  # XML, with <b> and <i>
    drawing: str  # SVG


@pytest.fixture(scope="module")
def typeset(tmp_path_factory):
    """A function that compiles tables to a document."""
    try:
        install(["pdflatex", "xetex", "pdftotext"], ["texlive-latex-recommended", "poppler-utils"])
    except Unavailable as reason:
        pytest.skip(str(reason))
    folder = tmp_path_factory.mktemp("latex")
    environment = os.environ | {"TEXMFVAR": str(folder / "var"), "max_print_line": "10000"}  # fonts that it makes

    def run(*command):
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
        return done.returncode, done.stdout

    # Debian's texlive-xetex would bring packages of 190 MB for this one file.
    assert run("xetex", "-ini", "-etex", "-interaction=nonstopmode", "xelatex.ini")[0] == 0
    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
    styles = "BoldFont=*-Bold, ItalicFont=*-Oblique, Extension=.ttf"
    packages, t1, fontspec = re.findall(r"\\usepackage(?:\[\w+\])?\{[\w,]+\}", NEEDS)
    engines = {
        # cmap names the characters of pdfLaTeX's fonts, for readers of the text.
        "pdflatex": (["pdflatex"], ["\\usepackage{cmap}", t1, packages]),
        "xelatex": (
            ["xetex", "-fmt=./xelatex"],
            [packages, fontspec, f"\\setmainfont{{DejaVuSans}}[Path={fonts}/, {styles}]"],
        ),
    }

    def typeset(engine, shown):
        for name, table in shown.items():
            write(table, [folder / f"{name}.tex"])
        command, preamble = engines[engine]
        inputs = [f"\\input{{{name}}}\\clearpage" for name in shown]
        lines = ["\\documentclass{article}", *preamble, "\\pagestyle{empty}\\begin{document}", *inputs]
        (folder / "document.tex").write_text("\n".join([*lines, "\\end{document}"]))
        status, _ = run(*command, "-interaction=nonstopmode", "-halt-on-error", "document.tex")
        log = (folder / "document.log").read_text(errors="replace")
        assert status == 0, log[-3000:]
        styled = run("pdftohtml", "-xml", "-i", "-stdout", "document.pdf")[1]
        drawing = run("pdftocairo", "-svg", "-f", "1", "-l", "1", "document.pdf", "-")[1]
        return Document(log, run("pdftotext", "-raw", "document.pdf", "-")[1], styled, drawing)

    return typeset


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Each table of the workflow: the paper's with its numbers beside, values that are missing or vary, many texts."""
    folder = tmp_path_factory.mktemp("tables")
    metrics, risks = write_metrics(folder), write_risks(folder)
    metrics_file(folder, "dart", "js", printed("dart")["js"], missing=["bleurt"])  # instead of the one before
    manifest = {
        **{"source": {"kind": "x"}, "split_rule": "by group_id, 85%", "counts": []},
        "archives": [{"package": "a_package-of-a-long-name", "version": "1.0~rc", "licence": "MIT & others"}] * 2,
        "splits": {"train": 124000, "dev": 200, "test": 400},
        "references": {"dev": 300, "test": 1200},
        "leakage": {"dev": {"same_source": 0.125}, "test": {"same_source": 0.0, "same_target": 0.5}},
    }
    write_json(folder / "manifest.json", manifest)
    return {
        "main_table": main_table(metrics, TASKS, LAYOUT, TABLE_2),
        "risk_table": risk_table(risks, TASKS, tables.sections({"teacher": "Teacher"}, {}, STUDENTS), TABLE_3),
        "datasets_table": tables.datasets_table(
            dict.fromkeys(TITLES, folder / "manifest.json"), TITLES, {"task": "A_B", "other": "–"}, TITLES
        ),
        "examples_table": examples(folder, [*LATIN, COMPOSED]),
        "human_table": human(folder),
        "online_table": tables.online_table(*write_online(folder), ONLINE_TASKS, ONLINE_SYSTEMS),
        "deployment_table": tables.deployment_table(
            [write_deployment(folder, system) for system in MODELS],
            {"dart": "DART"},
            tables.sections({"teacher": "Teacher"}, {}, {"kl": "K_L", "js": "JS"}),
        ),
        "layers_table": tables.layers_table(
            {"task": write_layers(folder / "layers.json", "task")}, {"task": "R&D_task"}
        ),
        **shleifer_rush(folder),
        "stages_table": stages(folder),
        "perplexity_table": perplexity(folder),
        "claims_table": tables.claims_table(claims(folder), {"d2t": "R&D_task"}),
    }


def claims(folder):
    """The verdicts on a study's claims: each that there is."""
    files, _ = report_files.study(folder / "claims")
    decided = read_json(files.claims, CLAIMS_FILE)
    assert {claim["verdict"] for claim in decided["claims"]} == set(SIGNS)
    return decided


def stages(folder):
    """The stages of a study, one of which has a loss and has collapsed."""
    files, study = report_files.study(folder / "stages", titles={"kl": "K_L"})
    paths = (list(found.values()) for found in (files.metrics, files.risks, files.comparisons))
    return tables.stages_table(*paths, {"d2t": "R&D_task"}, study.layout, ["mle", "kl", "engine"])


def shleifer_rush(folder):
    """The tables of Shleifer & Rush, with their numbers beside."""

    def paper(*numbers):
        return published.read(*(f"shleifer_rush_table{number}" for number in numbers))

    task, titles = {"xsum": "R&D_task"}, shleifer_rush_files.TITLES
    methods = shleifer_rush_files.write_methods(folder / "methods")
    speeds = shleifer_rush_files.write_speeds(folder / "speeds")
    starts = shleifer_rush_files.write_starts(folder / "starts")
    mixtures = shleifer_rush_files.write_mixtures(folder / "mixtures")
    return {
        "methods_table": tables.methods_table(*methods, shleifer_rush_files.TASKS, titles, paper(5)),
        "speeds_table": tables.speeds_table(*speeds, task, titles, paper(6, 7)),
        "starts_table": tables.starts_table(*starts, task, titles, paper(8, 9)),
        "mixtures_table": tables.mixtures_table(*mixtures, task, titles, paper(10)),
    }


def human(folder):
    """The table of two annotators' ratings, with a system that neither has rated."""
    key = human_cases.key_of(folder / "kit")
    ratings = human_cases.rated(key, lambda a, item: float("nan") if item["systems"] == ["tvd"] else 3 + a)
    return tables.human_table(analyse(ratings, key), {"colours": "R&D"}, {"seqkd": "SeqKD", "js": "J_S", "tvd": "TVD"})


def perplexity(folder):
    paths = []
    for system, tokenizer in (("init_student", "a"), ("teacher", "a"), ("kl", "b")):
        found = {"references": 3, "tokens": 20, "nll": 2.5, "perplexity": 12.2}
        found |= {"task": "task", "method": system, "tokenizer": tokenizer, "lineage": {"seed": "1"}}
        write_json(folder / f"{system}.perplexity.json", found)
        paths.append(folder / f"{system}.perplexity.json")
    systems = {"init_student": "As initialised, d_8", "teacher": "Teacher", "kl": "K&L"}
    return tables.perplexity_table(paths, {"task": "R&D_task"}, systems)


def examples(folder, texts):
    """The table of examples whose inputs, references and outputs are the texts."""
    ids = [str(i) for i in range(len(texts))]
    rows = {"id": ids, "group": ids, "source": texts, "references": [[text, "second"] for text in texts]}
    write_parquet(folder / "test.parquet", rows, SPLIT)
    n = len(texts)
    for system in SYSTEMS:
        rows = {"id": ids, "hypothesis": texts, "n_tokens": [3] * n, "finished": [True] * n}
        write_parquet(folder / f"{system}.parquet", rows, GENERATIONS)
    outputs = {("task", system): folder / f"{system}.parquet" for system in SYSTEMS}
    return tables.examples_table({"task": folder / "test.parquet"}, outputs, TITLES, SYSTEMS, count=n, seed=0)


def plain(text):
    """The characters of a text without those that typesetting may change: spaces, and how it writes ’ and …"""
    text = visible(text).replace("R_llh", "Rllh").replace("R_cvg", "Rcvg").replace("’", "'").replace("…", "...")
    text = text.replace("✓", "√").replace("✗", "×")
    return "".join(text.split())


def lost(table, document):
    """The caption, headings, rows and notes that the document does not have; only captions are hyphenated."""
    text, caption = plain(document.text), plain(table.caption).replace("-", "")
    rows = [row for panel in panels(table) for row in [panel.headings, *panel.cells.to_numpy().tolist()]]
    parts = [*map("".join, rows), *table.notes]
    return [part for part in parts if plain(part) not in text] + [caption] * (caption not in text.replace("-", ""))


def complaints(log):
    return re.findall(r"^(?:!|Overfull|Missing character|.*Warning|.*Undefined).*", log, re.M)


def test_each_table_of_the_workflow_is_here(built):
    assert set(built) == {name for name in tables.__all__ if name.endswith("_table")}


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex"])
def test_every_table_compiles_and_nothing_is_lost(typeset, built, engine):
    document = typeset(engine, built)
    assert complaints(document.log) == []
    unnamed = [COMPOSED] if engine == "pdflatex" else []
    for table in built.values():
        assert [part for part in lost(table, document) if not part.endswith(tuple(unnamed))] == []
    numbers = re.findall(r"^\f?Table (\d+): (\(continued\))?", document.text, re.M)
    assert [number for number, continued in numbers if not continued] == [str(1 + i) for i in range(len(built))]
    assert {number for number, continued in numbers if continued} == {"1", "2", "4"}  # longer than a page
    assert "n/a[1]" in plain(document.text) and "†" in document.text


def test_texts_in_other_scripts_compile_with_xelatex(typeset, tmp_path):
    table = examples(tmp_path, OTHERS)
    document = typeset("xelatex", {"others": table})
    assert complaints(document.log) == [] and lost(table, document) == []


def test_marks_are_seen(typeset):
    cells = cells_of(["system", "a", "b", "c"], [[["KL", "1.11", "2.22", "3.33"]]])
    marks = pd.DataFrame([["", "best", "tied", "aside"]], cells.index, cells.columns)
    table = Table("caption", cells, marks=marks)
    marked, unmarked = (
        typeset("xelatex", {"table": shown}) for shown in (table, replace(table, marks=marks.replace("tied", "")))
    )
    assert re.findall(r"<b>(.*?)</b>", marked.styled) == ["1.11"]
    assert re.findall(r"<i>(.*?)</i>", marked.styled) == ["3.33"]
    # The strokes are those of the table's rules, and below what is underlined.
    assert marked.drawing.count("stroke-width") == unmarked.drawing.count("stroke-width") + 1
