"""Formats a table as a web page, for the report and for narrow screens: a wide table scrolls within the page."""

import re
from html import escape

from pandas.io.formats.style import Styler

from fdistill.evaluation.tables.table import Table, panels

# Styler's classes: th and td of the first column are .col0, group headings .level0, headings below them .level1.
STYLE = """
body { font: 14px/1.4 sans-serif; margin: 1.5em; overflow-wrap: break-word; }
.scroll { overflow-x: auto; margin-bottom: 1.5em; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
th, td { padding: 3px 8px; text-align: right; vertical-align: top; }
th { vertical-align: bottom; }
td, .level1 { white-space: nowrap; }
.grouped .level0:not(.col0) { text-align: center; border-bottom: 1px solid #999; }
.first { border-top: 1px solid; }
.best { font-weight: bold; }
.tied { text-decoration: underline; }
.aside { font-size: smaller; color: #666; }
tr:has(.aside) td { padding-top: 0; padding-bottom: 0; }
tr:has(.aside) + tr:not(:has(.aside, .first)) td { padding-top: 10px; }
@media (max-width: 600px) {
  body { margin: .7em; }
  th, td { padding: 3px 6px; }
  .grouped .level0:not(.col0) { text-align: left; }
}
"""
WRAPS = "{ white-space: normal; min-width: 12em; overflow-wrap: anywhere; }"


def to_html(table: Table) -> str:
    """Return the table as a page: caption, panels below each other, notes."""
    names = ", ".join(f".col{i}" for i in range(table.names))
    style = f"{STYLE}{names} {{ text-align: left; }}\n"
    style += "".join(f"td.col{i} {WRAPS}\n" for i, heading in enumerate(table.headings) if heading in table.widths)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(table.title or table.caption)}</title>\n<style>{style}</style>",
            f"<p>{_symbols(table.caption)}</p>",
            *(_panel(panel, str(number)) for number, panel in enumerate(panels(table), start=1)),
            *(f"<p>{escape(note)}</p>" for note in table.notes),
            "</html>\n",
        ]
    )


def _panel(table: Table, name: str) -> str:
    classes = table.marks.copy()
    classes.loc[~classes.index.get_level_values(0).duplicated()] += " first"
    styler = Styler(table.cells, uuid=name, cell_ids=False).hide(axis="index")
    styler.set_td_classes(classes.map(str.strip))
    styler.format(lambda text: escape(text).replace("\n", "<br>"))
    styler.format_index(_symbols, axis=1, level=table.cells.columns.nlevels - 1)
    if table.spans:
        styler.set_table_attributes('class="grouped"')
        styler.format_index(lambda key: escape(table.groups.get(key, key)), axis=1, level=0)
    shown = re.sub(r"^<style.*?</style>\n", "", styler.to_html(), flags=re.DOTALL)  # is empty
    return f"<div class=scroll tabindex=0>\n{shown}</div>"  # tabindex: scrolls by the keyboard


def _symbols(text: str) -> str:
    """The text escaped, with the risks as the paper prints them."""
    return re.sub(r"\bR_(llh|cvg)\b", r"<i>R</i><sub>\1</sub>", escape(text))
