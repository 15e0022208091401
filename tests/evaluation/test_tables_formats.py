"""The formats of tables: escapes, wide tables in panels, long tables in floats, aligned Markdown, web pages."""

import re

import pandas as pd
import pytest
from fdistill.evaluation.tables.formats import write
from fdistill.evaluation.tables.latex import escape_latex, to_latex
from fdistill.evaluation.tables.markdown import escape_markdown, to_markdown
from fdistill.evaluation.tables.page import to_html
from fdistill.evaluation.tables.table import Table, cells_of, panels
from fdistill.runtime.errors import UserError


def test_escape_markdown():
    assert escape_markdown("a_b|c*d`e`<u>~$1$\\") == r"a\_b\|c\*d\`e\`\<u\>\~\$1\$" + "\\\\"
    assert escape_markdown("one\ntwo\r\nthree\tx") == "one<br>two<br>three x"
    assert escape_markdown("[1] [a](b) [a]: b [x]") == r"[1] [a\](b) [a\]: b [x]"
    assert escape_markdown("R&D &amp; &#38;") == r"R&D \&amp; \&#38;"


def test_escape_latex():
    assert escape_latex("a_b & 50% #1 $x {y}") == r"a\_b \& 50\% \#1 \$x \{y\}"
    assert escape_latex('"q"') == r"\textquotedbl{}q\textquotedbl{}"
    assert escape_latex("\\^~|<>") == (
        r"\textbackslash{}\textasciicircum{}\textasciitilde{}\textbar{}\textless{}\textgreater{}"
    )
    assert escape_latex("one\r\ntwo\nthree") == r"one\newline{} two\newline{} three"
    assert escape_latex("\none") == r"\leavevmode\newline{} one"
    assert escape_latex("[x] --flag*") == r"{[}x] -{}-flag*"
    assert escape_latex("''a'',,") == r"'{}'a'{}',{},"
    assert escape_latex("x" * 20) == "x" * 20 and escape_latex("x" * 21) == r"\allowbreak{}".join("x" * 21)


def test_wide_tables_are_cut_between_groups():
    groups = ["a"] * 6 + ["b"] * 3 + ["c"] * 3
    columns = [("", "name"), *((group, f"{group}{i}") for i, group in enumerate(groups))]
    row = ["row", *(f"v{i}" for i in range(12))]
    first, second = panels(Table("", cells_of(pd.MultiIndex.from_tuples(columns), [[row]])))
    assert first.headings == ["name", *(f"a{i}" for i in range(6))]
    assert first.cells.to_numpy().tolist() == [["row", *(f"v{i}" for i in range(6))]]
    assert second.cells.to_numpy().tolist() == [["row", *(f"v{i}" for i in range(6, 12))]]


def test_a_row_without_a_text_in_a_panel_is_left_out_of_it():
    columns = pd.MultiIndex.from_tuples([("", "name"), *(("a", f"a{i}") for i in range(9)), ("b", "b")])
    rows = [["x", *"123456789", "1"], ["paper", *"123456789", ""], ["size of a alone", *"12345678–", "–"]]
    first, second = panels(Table("", cells_of(columns, [rows])))
    assert list(first.cells.iloc[:, 0]) == ["x", "paper", "size of a alone"]
    assert list(second.cells.iloc[:, 0]) == ["x"]
    assert len(second.marks) == 1


def test_tasks_of_the_same_title_stay_apart():
    columns = pd.MultiIndex.from_tuples([("", "name"), ("a", "BLEU"), ("b", "BLEU")])
    table = Table("", cells_of(columns, [[["x", "1", "2"]]]), groups={"a": "Same", "b": "Same"})
    assert to_html(table).count(">Same</th>") == 2 and to_markdown(table).count("**Same**") == 2
    assert r"\cmidrule(lr){2-2}\cmidrule(lr){3-3}" in to_latex(table)


def test_latex_tables_longer_than_a_page_go_on_in_further_floats():
    def floats(*sections):
        rows = [[[name, "x" * n] for name, n in section] for section in sections]
        table = Table("caption", cells_of(["name", "text"], rows), names=2, notes=["note"], widths={"text": 0.5})
        parts = to_latex(table).split(r"\begin{table*}")[1:]
        return [re.findall(r"^(\w+) & x|(\\midrule)", part, re.M) for part in parts], parts

    rule, line = ("", r"\midrule"), 40  # a line of the column has 40 characters
    names, [only] = floats([("a", 1), ("b", 15 * line)], [("c", 25 * line)])
    # 48 lines: of the caption, four of the headings, two of the rules' space, 41 of the texts, of the note
    assert names == [[rule, ("a", ""), ("b", ""), rule, ("c", "")]]
    assert r"\caption{caption}" in only and "note" in only
    assert r"\begin{tabular}{l>{\raggedright\arraybackslash}p{0.5\linewidth}}" in only  # wraps, and is not scaled down
    names, [first, second] = floats([("a", 1), ("b", 15 * line)], [("c", 26 * line + 1)])
    assert names == [[rule, ("a", ""), ("b", "")], [rule, ("c", "")]]
    assert r"\caption{caption}" in first and "note" not in first
    assert r"\caption{(continued)}" in second and "note" in second
    assert first.endswith("\\end{table*}\n\\addtocounter{table}{-1}\n")  # both have one number
    names, _ = floats([("a", 1)], [("b", 20 * line), ("c", 20 * line), ("d", 20 * line)], [("e", 1)])
    assert names == [[rule, ("a", ""), rule, ("b", ""), ("c", "")], [rule, ("d", ""), rule, ("e", "")]]


def test_markdown_lines_up():
    lines = to_markdown(Table("c", cells_of(["x", "long title"], [[["a|b", "1"]]])))
    rows = [line for line in lines.splitlines() if line.startswith("|")]
    assert rows == ["| x    |   long title |", "|:-----|-------------:|", r"| a\|b |            1 |"]


def test_unknown_format_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"unknown table format '.xlsx'; known: .csv, .md, .tex"):
        write(Table("", cells_of(["x"], [])), [tmp_path / "a.csv", tmp_path / "a.xlsx"])
    assert not list(tmp_path.iterdir())


def test_a_page_has_the_same_cells_and_escapes_them():
    columns = pd.MultiIndex.from_tuples([("", "<i>"), ("t", "BLEU"), ("u", "TER")])
    cells = cells_of(columns, [[["a<b", "1.0", "3.0"]], [["two\nlines", "2.0", "4.0"]]])
    marks = pd.DataFrame([["", "best", ""], ["", "tied", ""]], cells.index, cells.columns)
    table = Table("A & B", cells, notes=["<note>"], groups={"t": "T&T", "u": "U"}, marks=marks)
    page = to_html(table)
    assert '<th class="name" scope="row">a&lt;b</th>' in page and "<td><strong>1.0</strong></td>" in page
    assert "two<br>lines" in page and "<td><u>2.0</u></td>" in page and "<td>4.0</td>" in page
    assert page.count("<tbody>") == 2  # of a section each, with a rule above
    assert 'colspan="1" scope="colgroup">T&amp;T</th>' in page and 'scope="col">&lt;i&gt;</th>' in page
    assert "<p>&lt;note&gt;</p>" in page and "<caption><span>T&amp;T, U</span></caption>" in page
    alone = to_html(table.part(columns=[0, 1]))
    assert "<caption><span>T&amp;T</span></caption>" in alone and "colgroup" not in alone  # in the caption, not twice


def test_control_characters_of_texts_are_visible_in_every_format(tmp_path):
    """ESC and NUL could act in a terminal, U+202E reverses what follows it; line breaks and tabs are texts' own."""
    text = "a\x1b[31mb\x00c\u202ed\x85e\tf\ng\r\nh"
    table = Table("caption", cells_of(["x"], [[[text]]]), records=pd.DataFrame([{"x": text}]))
    paths = [tmp_path / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    write(table, paths)
    for path in paths:
        written = path.read_text(encoding="utf-8")
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", written)
        assert "␛" in written and "␀" in written and "\N{REPLACEMENT CHARACTER}d" in written


def test_no_row_of_a_long_table_is_left_out(tmp_path):
    """Styler shows at most as many cells as its option says; the texts of titles may be of any form."""
    texts = ["007", "1e5", "nan", " a ", "=1+1", "best", "\\midrule", "</td>", "None"]
    table = Table("caption", cells_of(["x", "y"], [[[text, text] for text in texts]]))
    with pd.option_context("styler.render.max_elements", 4):
        write(table, [tmp_path / f"t.{suffix}" for suffix in ("md", "tex", "html")])
    shown = {suffix: (tmp_path / f"t.{suffix}").read_text() for suffix in ("md", "tex", "html")}
    assert re.findall(r"<td>([^<]*)</td>", shown["html"]) == [text.replace("</td>", "&lt;/td&gt;") for text in texts]
    assert re.findall(r"^(.*?) & .* \\\\$", shown["tex"], re.M)[1:] == [escape_latex(text) for text in texts]
    rows = [line.split("|")[1].strip() for line in shown["md"].splitlines() if line.startswith("|")]
    assert rows[2:] == [escape_markdown(text).strip() for text in texts]
