"""The report: one page that begins with the answer, and has everything that it rests on below it."""

from fdistill.evaluation.report.inputs import COMMAND, FIGURES, Files, Study
from fdistill.evaluation.report.page import report_page

__all__ = ["COMMAND", "FIGURES", "Files", "Study", "report_page"]
