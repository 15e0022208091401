# The tables of Shleifer & Rush 2020 and their Figure 2. `all` makes those that the study is about (`study_tables`), and any
# study may ask for one that it has something of.


rule shleifer_rush_table:
    input:
        script=script("tables"),
        # Beside training curves are the records of the trainings, with the times.
        files=lambda wildcards: files_in(sum(shleifer_rush_files(wildcards).values(), [])),
        # Read beside the metrics, for the differences from the teacher.
        replicates=lambda wildcards: (
            files_in(placed(TEACHER_TASKS, students_of(shleifer_rush.MIXTURES), "metrics.replicates.parquet"))
            if wildcards.table == "table10"
            else []
        ),
    output:
        multiext("<results>/tables/shleifer_rush/{table}", ".csv", ".md", ".tex"),
        page=report(
            "<results>/tables/shleifer_rush/{table}.html",
            caption="../workflow/report/shleifer_rush/tables.rst",
            category="Tables",
            labels={"table": "Shleifer & Rush, {table}"},
        ),
    log:
        "<logs>/tables/shleifer_rush/{table}.log",
    wildcard_constraints:
        table="|".join(SHLEIFER_RUSH),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        tasks=TEACHER_TASKS,
        files=lambda wildcards: [
            part for flag, files in shleifer_rush_files(wildcards).items() for part in (flag, *files)
        ],
        shown=flags("tables", STUDY.tables),
    shell:
        "exec python {input.script:q} shleifer_rush_{wildcards.table:q} {params.files:q} --tasks {params.tasks:q}"
        " --texts {params.texts:q} {params.shown:q} --output {output:q} 2> {log:q}"


rule starts_figure:
    input:
        script=script("figures"),
        histories=lambda wildcards: files_in(curves_of(wildcards.task, starts_of(wildcards.task))),
    output:
        report(
            "<results>/figures/{task}.starts.svg",
            caption="../workflow/report/shleifer_rush/starts.rst",
            category="Student sizes",
            labels={"task": "{task}"},
        ),
    log:
        "<logs>/figures/{task}.starts.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        histories=lambda wildcards: curves_of(wildcards.task, starts_of(wildcards.task)),
        systems=lambda wildcards: starts_of(wildcards.task),
    shell:
        "exec python {input.script:q} starts --logs {params.histories:q} --systems {params.systems:q}"
        " --task {wildcards.task:q} --texts {params.texts:q} --output {output:q} 2> {log:q}"


TABLES += expand(
    "<results>/tables/shleifer_rush/{table}.{suffix}",
    table=list(study_tables()),
    suffix=("csv", "md", "tex", "html"),
)
FIGURES += [f"{RESULTS}/figures/{task}.starts.svg" for task in several_starts() if "sft" in STUDY.methods]
