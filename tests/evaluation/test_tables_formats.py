"""The formats of tables: escapes, wide tables in panels, long tables in floats, aligned Markdown, web pages."""

import re

import pytest
from fdistill.evaluation.tables.formats import write
from fdistill.evaluation.tables.latex import escape_latex, to_latex
from fdistill.evaluation.tables.page import to_html
from fdistill.evaluation.tables.render import Cell, Column, Table, escape_markdown, panels, to_markdown
from fdistill.runtime.errors import UserError


def test_escape_markdown():
    assert escape_markdown("a_b|c*d`e`<u>~$1$\\") == r"a\_b\|c\*d\`e\`\<u\>\~\$1\$" + "\\\\"
    assert escape_markdown("one\ntwo\r\nthree\tx") == "one<br>two<br>three x"
    assert escape_markdown("[1] [a](b) [a]: b [x]") == r"[1] [a\](b) [a\]: b [x]"
    assert escape_markdown("R&D &amp; &#38;") == r"R&D \&amp; \&#38;"


def test_escape_latex():
    assert escape_latex("a_b & 50% #1 $x {y}") == r"a\_b \& 50\% \#1 \$x \{y\}"
    assert escape_latex("\\^~|<>") == (
        r"\textbackslash{}\textasciicircum{}\textasciitilde{}\textbar{}\textless{}\textgreater{}"
    )
    assert escape_latex("one\r\ntwo\nthree") == r"one\newline{}two\newline{}three"
    assert escape_latex("[x] --flag*") == r"{[}x] -{}-flag*"


def test_wide_tables_are_cut_between_groups():
    groups = ["a"] * 6 + ["b"] * 3 + ["c"] * 3
    columns = [Column("name"), *(Column(f"{group}{i}", group, number=True) for i, group in enumerate(groups))]
    wide = [Cell("row"), Cell("all of a", span=6), *(Cell(f"v{i}") for i in range(6, 12))]
    first, second = panels(Table("", columns, [[wide]], []))
    assert [column.title for column in first.columns] == ["name", *(f"a{i}" for i in range(6))]
    assert [cell.text for cell in first.sections[0][0]] == ["row", "all of a"]
    assert [cell.text for cell in second.sections[0][0]] == ["row", *(f"v{i}" for i in range(6, 12))]


def test_latex_tables_longer_than_a_page_go_on_in_further_floats():
    columns = [Column("name"), Column("text", width=0.5)]

    def floats(*sections):
        rows = [[[Cell(name), Cell("x" * n)] for name, n in section] for section in sections]
        parts = to_latex(Table("caption", columns, rows, [], ["note"])).split(r"\begin{table*}")[1:]
        return [re.findall(r"^(\w+) & x|(\\midrule)", part, re.M) for part in parts], parts

    rule, line = ("", r"\midrule"), 40  # a line of the column has 40 characters
    names, [only] = floats([("a", 1), ("b", 15 * line)], [("c", 29 * line)])
    assert names == [[rule, ("a", ""), ("b", ""), rule, ("c", "")]]  # 45 lines
    assert r"\caption{caption}" in only and "note" in only
    names, [first, second] = floats([("a", 1), ("b", 15 * line)], [("c", 29 * line + 1)])
    assert names == [[rule, ("a", ""), ("b", "")], [rule, ("c", "")]]  # 46
    assert r"\caption{caption}" in first and "note" not in first
    assert r"\caption{(continued)}" in second and "note" in second
    assert first.endswith("\\end{table*}\n\\addtocounter{table}{-1}\n")  # both have one number
    names, _ = floats([("a", 1)], [("b", 20 * line), ("c", 20 * line), ("d", 20 * line)], [("e", 1)])
    assert names == [[rule, ("a", ""), rule, ("b", ""), ("c", "")], [rule, ("d", ""), rule, ("e", "")]]


def test_markdown_lines_up():
    lines = to_markdown(Table("c", [Column("x"), Column("long title", number=True)], [[[Cell("a|b"), Cell("1")]]], []))
    rows = [line for line in lines.splitlines() if line.startswith("|")]
    assert rows == ["| x    | long title |", "| ---- | ---------: |", r"| a\|b |          1 |"]


def test_unknown_format_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"unknown table format '.xlsx'; known: .csv, .md, .tex"):
        write(Table("", [Column("x")], [], []), [tmp_path / "a.csv", tmp_path / "a.xlsx"])
    assert not list(tmp_path.iterdir())


def test_a_page_has_the_same_cells_and_escapes_them():
    rows = [[Cell("a<b"), Cell("1.0", "best")], [Cell("two\nlines"), Cell("2.0", "second")]]
    table = Table("A & B", [Column("Name"), Column("BLEU", "T", number=True)], [rows], [], ["<note>"])
    page = to_html(table)
    assert "<td class=name>a&lt;b</td><td class=number><b>1.0</b></td>" in page
    assert "<td class=name>two<br>lines</td><td class=number><u>2.0</u></td>" in page
    assert '<th colspan="1" class=group>T</th>' in page and "<p>&lt;note&gt;</p>" in page
    assert "<title>A &amp; B</title>" in page and 'name="viewport"' in page


def test_control_characters_of_texts_are_visible_in_every_format(tmp_path):
    """ESC and NUL could act in a terminal, U+202E reverses what follows it; line breaks and tabs are texts' own."""
    text = "a\x1b[31mb\x00c\u202ed\x85e\tf\ng\r\nh"
    table = Table("caption", [Column("x")], [[[Cell(text)]]], [{"x": text}])
    paths = [tmp_path / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    write(table, paths)
    for path in paths:
        written = path.read_text(encoding="utf-8")
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", written)
        assert "␛" in written and "␀" in written and "\N{REPLACEMENT CHARACTER}d" in written
