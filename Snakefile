# f-DISTILL: from data to the paper's tables. This file is the table of contents; see README.md.
from snakemake.utils import min_version

min_version("9.19")  # its path variables (`<results>`)


include: "rules/module.smk"


configfile: f"{FOLDER}/config/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/functions.smk"
include: "rules/table_functions.smk"
include: "rules/shleifer_rush_functions.smk"
include: "rules/preflight.smk"
include: "rules/data.smk"
include: "rules/teacher.smk"
include: "rules/labels.smk"
include: "rules/outside.smk"
include: "rules/student.smk"
include: "rules/evaluate.smk"
include: "rules/perplexity.smk"
include: "rules/figures.smk"
include: "rules/human.smk"
include: "rules/export.smk"
include: "rules/report.smk"
include: "rules/bench.smk"
include: "rules/deployment.smk"
include: "rules/shleifer_rush.smk"
include: "rules/cluster.smk"


rule all:
    default_target: True
    input:
        TABLES,
        FIGURES,
        METRICS,
        LABEL_QUALITY,
        COMPARISONS,
        CLAIMS,
        REPORT_PAGE,


include: "rules/targets.smk"
