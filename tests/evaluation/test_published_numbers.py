"""The stored published numbers against the papers' tables, whose lines are in tests/evaluation/papers/.

Each stored table is printed as its paper prints it, with the paper's headings and names, and must equal those lines: a
number that differs on either side, is missing or stands in another place makes the test fail.
"""

import re
from itertools import pairwise

import pytest
from fdistill.evaluation import published
from fdistill.evaluation.metrics import METRICS
from snake import ROOT

PAPERS = ROOT / "tests/evaluation/papers"
PRINTED = {
    # systems of Wen et al., who print the first of the students after the name of their group
    "teacher": "Teacher",
    "mle": "Student Non-distill (MLE)",
    "predistill": "Pre-distill",
    "seqkd": "SeqKD",
    "engine": "ENGINE",
    **{system: system.upper() for system in ("kl", "rkl", "js", "tvd")},
    # models and data of Shleifer & Rush
    "bart": "BART",
    "pegasus": "Pegasus",
    "marian": "Marian",
    "mbart": "mBART",
    "bertabs": "BertABS",
    "pretrained": "PT",
    "xsum": "XSUM",
    "cnn_dailymail": "CNN",
    "wmt16_en_ro": "EN-RO",
    **{f"{n}-{n}": f"Baseline ({n}-{n})" for n in (12, 16)},
    "sft": "SFT",
    "sft_hi": "SFT hi",
    "sft_lo": "SFT lo",
    "sft_mid": "SFT mid",
    "sft_000": "SFT 000",
    "sft_rand": "SFT rand",
    "sft_back": "SFT Back",
    "sft_front": "SFT Front",
    "from_pretrained": "From Pre-trained",
    "from_cnn_dailymail": "From FT on CNN",
    None: "-",
}
METRIC = {
    **{f"bleu{n}": f"BLEU{n} \\uparrow" for n in (1, 2, 4)},
    **{"meteor": "METEOR \\uparrow", "ter": "TER \\downarrow", "chrf": "chrF \\uparrow"},
    **{"bertscore": "BERTScore \\uparrow", "moverscore": "MoverScore \\uparrow", "bleurt": "BLEURT \\uparrow"},
    **{f"rouge{n}": f"ROUGE-{n} \\uparrow" for n in "12L"},
}
RISK = {"r_llh_token": "R_{llh}", "r_cvg_token": "R_{cvg}"}
TASK = {
    "dart": ("DART", "DART (Nan et al., 2021) Data-to-Text Generation"),
    "xsum": ("XSum", "XSum (Narayan et al., 2018) Summarization"),
    "wmt16_en_ro": ("WMT16 EN-RO", "WMT16 EN-RO (Bojar et al., 2016) Machine Translation"),
    "commonsense_dialogue": (
        "Commonsense Dialogue",
        "Commonsense Dialogue (Zhou et al., 2021) Dialogue Generation",
    ),
}


def printed(cells):
    return " ".join(PRINTED.get(cell, cell) for cell in cells)


def side_by_side(table, tasks, head, columns=None):
    """Lines of tables that are printed beside each other: a line of column names by `head`, then one per system."""
    kept = {task: columns or [c for c in table.tasks[task][0] if c != "system"] for task in tasks}
    yield " ".join(head[column] for task in tasks for column in kept[task])
    for rows in zip(*(table.tasks[task] for task in tasks), strict=True):
        assert len({row["system"] for row in rows}) == 1
        values = [row[column] for task, row in zip(tasks, rows, strict=True) for column in kept[task]]
        if any(values):
            yield printed([rows[0]["system"], *values])


def fdistill_table2(table):
    first, *others = TASK
    assert list(table.tasks) == list(TASK)
    for panel in ([first], others):
        yield "Model " + " ".join(TASK[task][0] for task in panel)
        yield from side_by_side(table, panel, METRIC)


def fdistill_table3(table):
    yield "Dataset DART XSum MT _{EN-RO} CD"
    assert list(table.tasks) == list(TASK)
    assert all(list(row) == ["system", "teacher_dist", *RISK] for rows in table.tasks.values() for row in rows)
    head, teacher = side_by_side(table, list(TASK), {"teacher_dist": "TeacherDist"}, ["teacher_dist"])
    yield teacher.replace("Teacher", "TeacherDist")
    head, *rows = side_by_side(table, list(TASK), RISK, list(RISK))
    yield from [f"Risk {head}", *rows]


def fdistill_table4(table):
    assert list(table.tasks) == ["dart"]
    yield "Model BLEU4 BERTScore Speedup"
    for row in table.tasks["dart"]:
        assert list(row) == ["system", "bleu4", "bertscore", "speedup"]
        system, *values = row.values()
        method, _, online = system.partition("_")
        if online:
            yield f"{printed([method])} distillation"
        yield f"{'Online' if online else 'Offline (our method)'} {printed(values)}x"


def fdistill_table5(table):
    assert list(table.tasks) == ["dart"]
    arrows = {"Fluency": "\\uparrow", "MissingInfo": "\\downarrow", "Hallucination": "\\downarrow"}
    head, *rows = side_by_side(table, ["dart"], {title: f"{title} {arrow}" for title, arrow in arrows.items()})
    yield from [f"Model {head}", *rows]


def fdistill_table6(table):
    yield "Dataset Task # of Samples"
    yield "Train Dev Test"
    for task, [row] in table.tasks.items():
        assert list(row) == ["train", "dev", "test"]
        yield " ".join([TASK[task][1], *(f"{int(value):,}" for value in row.values())])


def by_task(table, columns):
    """Rows of all tasks, the task after teacher and size; columns end in the metric, where the paper has a score."""
    for task, rows in table.tasks.items():
        for row in rows:
            metric = "bleu4" if task == "wmt16_en_ro" else "rouge2"
            assert list(row) == [column.replace("score", metric) for column in columns]
            teacher, size, *values = row.values()
            yield printed([teacher, size, task, *values])


def shleifer_rush_table5(table):
    yield "Teacher Size Data Teacher SFT KD Pseudo"
    yield "Score Score Cost Score Cost Score Cost"
    columns = [f"{method}.{what}" for method in ("sft", "kd", "pl") for what in ("score", "cost")]
    yield from by_task(table, ["teacher", "size", "teacher.score", *columns])


def shleifer_rush_table10(table):
    yield "Teacher Size Dataset Teacher Score Orig PL Orig+PL Orig+PL+PL"
    columns = ["sft", "pl", "orig_pl", "orig_pl_pl"]
    yield from by_task(table, ["teacher", "size", "teacher.score", *columns])


def speeds(table, task, time, rouge_l):
    """The teacher's name is printed once, a missing speed-up not at all; "Rouge-L" is the column `rouge_l`."""
    yield f"Teacher Student MM Params {time} Speedup Rouge-2 Rouge-L"
    assert list(table.tasks) == [task]
    for before, row in pairwise([{}, *table.tasks[task]]):
        assert list(row) == ["teacher", "size", "parameters", "time", "speedup", "rouge2", rouge_l]
        teacher = [row["teacher"]] if row["teacher"] != before.get("teacher") else []
        values = [value for column, value in row.items() if column != "teacher" and value]
        yield printed([*teacher, *values]).replace("BertABS 6-6", "BertABS Baseline (6-6)")


def shleifer_rush_table6(table):
    return speeds(table, "xsum", "Time (MS)", "rougeL")


def shleifer_rush_table7(table):
    return speeds(table, "cnn_dailymail", "Inference Time (MS)", "rougeLsum")


def starts(table, tasks):
    yield "Name Layers Copied From Min Loss"
    assert list(table.tasks) == tasks
    for task, rows in table.tasks.items():
        for row in rows:
            assert list(row) == ["teacher", "start", "layers", "from", "loss"]
            teacher, *values = row.values()
            assert teacher == ("marian" if task == "wmt16_en_ro" else "bart")
            own = teacher if teacher == "marian" else task  # their name of the teacher that layers are copied from
            yield printed([own if value == "teacher" else value for value in values])


def shleifer_rush_table8(table):
    return [line.replace("SFT rand", "SFT rand decoder") for line in starts(table, ["xsum"])]


def shleifer_rush_table9(table):
    return starts(table, ["cnn_dailymail", "wmt16_en_ro"])


def shleifer_rush_section6_4(table):
    assert list(table.tasks) == ["bart"]
    [[decoder, encoder]] = [[row["decoder"], row["encoder"]] for row in table.tasks["bart"]]
    yield "The results suggest that adding a"
    words = "layer would slow down inference by"
    yield f"decoder {words} {decoder}%, while adding an encoder {words}"
    yield f"only {encoder}%."


TABLES = [
    *(fdistill_table2, fdistill_table3, fdistill_table4, fdistill_table5, fdistill_table6),
    *(shleifer_rush_table5, shleifer_rush_table6, shleifer_rush_table7),
    *(shleifer_rush_table8, shleifer_rush_table9, shleifer_rush_table10, shleifer_rush_section6_4),
]


def lines_of(name):
    """The paper's lines, less underlining, footnote marks and the spaces in a list of layers."""
    text = re.sub(r"</?u>|[†∗]", "", (PAPERS / f"{name}.txt").read_text(encoding="utf-8"))
    text = re.sub(r"(?<=\d), (?=\d)", ",", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("lay_out", TABLES, ids=lambda function: function.__name__)
def test_the_data_printed_as_the_paper_prints_it(lay_out):
    assert list(lay_out(published.read(lay_out.__name__))) == lines_of(lay_out.__name__)


def test_every_table_is_tested_and_says_where_it_is_from():
    assert published.names() == sorted(function.__name__ for function in TABLES)
    assert published.names() == sorted(path.stem for path in PAPERS.glob("*.txt"))
    for name in published.names():
        table = published.read(name)
        kind, number = re.search("_(table|section)([0-9_]+)$", name).groups()
        assert table.source.endswith(f", {kind.title()} {number.replace('_', '.')}")
        assert table.caption and table.units


def test_keys_of_the_main_table_are_the_metrics():
    table = published.read("fdistill_table2")
    columns = {column for rows in table.tasks.values() for row in rows for column in row}
    assert columns <= {"system", *METRICS}


def test_a_number_by_its_place():
    main = published.read("fdistill_table2")
    assert main.number("dart", "bleu4", "predistill") == "45.60"
    assert main.number("dart", "rouge1", "predistill") is None
    assert main.number("dart", "bleu4", "copy") is None
    assert main.number("data_to_text", "bleu4", "predistill") is None
    assert published.read("fdistill_table3").number("xsum", "teacher_dist", "teacher") == "36.28"
    assert published.read("fdistill_table3").number("xsum", "r_llh_token", "teacher") is None
    speeds = published.read("shleifer_rush_table6", "shleifer_rush_table7")
    assert speeds.number("cnn_dailymail", "rouge2", teacher="bart", size="12-3") == "20.57"
    assert speeds.number("xsum", "rouge2", teacher="bart", size="16-4") is None
    assert speeds.source.endswith(", Table 6 and Table 7")
    assert published.read("fdistill_table6").number("dart", "test") == "4159"
