"""Builds the paper's tables from the files of earlier stages, and writes them in every format."""

from fdistill.evaluation.tables.claims import claims_table
from fdistill.evaluation.tables.datasets import datasets_table
from fdistill.evaluation.tables.deployment import deployment_table
from fdistill.evaluation.tables.examples import examples_table
from fdistill.evaluation.tables.formats import write, write_frame
from fdistill.evaluation.tables.frame import results_frame, sections
from fdistill.evaluation.tables.human import human_table
from fdistill.evaluation.tables.layers import layers_table
from fdistill.evaluation.tables.online import online_table
from fdistill.evaluation.tables.perplexity import perplexity_table
from fdistill.evaluation.tables.results import main_table, risk_table
from fdistill.evaluation.tables.shleifer_rush import methods_table, mixtures_table, speeds_table, starts_table
from fdistill.evaluation.tables.stages import stages_table

__all__ = [
    "claims_table",
    "datasets_table",
    "deployment_table",
    "examples_table",
    "human_table",
    "layers_table",
    "main_table",
    "methods_table",
    "mixtures_table",
    "online_table",
    "perplexity_table",
    "results_frame",
    "risk_table",
    "sections",
    "speeds_table",
    "stages_table",
    "starts_table",
    "write",
    "write_frame",
]
