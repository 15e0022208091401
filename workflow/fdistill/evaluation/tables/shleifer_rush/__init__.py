"""The tables of Shleifer & Rush 2020: methods, speeds, starts and mixtures."""

from fdistill.evaluation.tables.shleifer_rush.methods import methods_table, mixtures_table
from fdistill.evaluation.tables.shleifer_rush.speeds import speeds_table
from fdistill.evaluation.tables.shleifer_rush.starts import starts_table

__all__ = ["methods_table", "mixtures_table", "speeds_table", "starts_table"]
