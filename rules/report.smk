# Tables from the results of all systems, with their captions in the report, and the report itself. They take seconds
# each, less than a cluster's queue, so they are local rules: they run on the machine that runs Snakemake.


rule main_table:
    input:
        script=script("tables"),
        metrics=METRICS,
        comparisons=COMPARISONS,
    output:
        multiext("<results>/tables/main", ".csv", ".md", ".tex"),
        page=table_page("main"),
    log:
        "<logs>/tables/main.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        tasks=STUDY.tasks,
        rows=row_flags(table_systems),
        metrics=placed(STUDY.tasks, table_systems, "metrics.json"),
        comparisons=COMPARED,
        shown=flags("tables", STUDY.tables),
    shell:
        "exec python {input.script:q} main --metrics {params.metrics:q} --comparisons {params.comparisons:q}"
        " --tasks {params.tasks:q} {params.rows:q} --texts {params.texts:q} {params.shown:q} --output {output:q} 2> {log:q}"


rule risk_table:
    input:
        script=script("tables"),
        risks=RISKS,
        comparisons=COMPARISONS,
    output:
        multiext("<results>/tables/risk", ".csv", ".md", ".tex"),
        page=table_page("risk"),
    log:
        "<logs>/tables/risk.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        tasks=STUDY.tasks,
        rows=row_flags(risk_systems),
        risks=placed(STUDY.tasks, risk_systems, "risk.json"),
        comparisons=COMPARED,
        shown=flags("tables", STUDY.tables),
    shell:
        "exec python {input.script:q} risk --risks {params.risks:q} --comparisons {params.comparisons:q}"
        " --tasks {params.tasks:q} {params.rows:q} --texts {params.texts:q} {params.shown:q} --output {output:q} 2> {log:q}"


rule results_frame:
    input:
        script=script("tables"),
        metrics=METRICS,
        risks=RISKS,
        comparisons=COMPARISONS,
    output:
        multiext("<results>/tables/results", ".parquet", ".csv"),
    log:
        "<logs>/tables/results.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        tasks=STUDY.tasks,
        rows=row_flags(table_systems),
        metrics=placed(STUDY.tasks, table_systems, "metrics.json"),
        risks=placed(STUDY.tasks, risk_systems, "risk.json"),
        comparisons=COMPARED,
    shell:
        "exec python {input.script:q} results --metrics {params.metrics:q} --risks {params.risks:q}"
        " --comparisons {params.comparisons:q} --tasks {params.tasks:q} {params.rows:q} --texts {params.texts:q}"
        " --output {output:q} 2> {log:q}"


rule stages_table:
    input:
        script=script("tables"),
        metrics=METRICS,
        risks=RISKS,
        comparisons=COMPARISONS,
    output:
        multiext("<results>/tables/stages", ".csv", ".md", ".tex"),
        page=table_page("stages"),
    log:
        "<logs>/tables/stages.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        tasks=STUDY.tasks,
        rows=row_flags(table_systems),
        metrics=placed(STUDY.tasks, table_systems, "metrics.json"),
        risks=placed(STUDY.tasks, risk_systems, "risk.json"),
        comparisons=COMPARED,
        stages=stages,
    shell:
        "exec python {input.script:q} stages --metrics {params.metrics:q} --risks {params.risks:q}"
        " --comparisons {params.comparisons:q} --stages {params.stages:q} --tasks {params.tasks:q} {params.rows:q}"
        " --texts {params.texts:q} --output {output:q} 2> {log:q}"


rule claims:
    input:
        script=script("claims"),
        claims=STUDY.claims,
        comparisons=COMPARISONS,
        measured=files_in([file for files in measured_for_claims().values() for file in files]),
        # Read beside the metrics.
        replicates=files_in(compared_across_tasks("metrics.replicates.parquet")),
    output:
        json="<results>/claims.json",
        markdown="<results>/claims.md",
        table="<results>/tables/claims.tex",
        page=table_page("claims"),
    log:
        "<logs>/claims.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        comparisons=COMPARED,
        measured=[word for flag, files in measured_for_claims().items() if files for word in (flag, *files)],
        unusable=unusable_flags(),
    shell:
        "exec python {input.script:q} --claims {input.claims:q} --comparisons {params.comparisons:q} {params.measured:q}"
        " {params.unusable:q} --texts {params.texts:q} --json {output.json:q} --markdown {output.markdown:q}"
        " --table {output.table:q} {output.page:q} 2> {log:q}"


rule online_table:
    input:
        script=script("tables"),
        times=expand("<results>/bench/{task}.online.json", task=STUDY.tasks),
        metrics=online_metrics,
        comparisons=expand("<results>/comparisons/{task}.online.json", task=STUDY.tasks),
    output:
        multiext("<results>/tables/online", ".csv", ".md", ".tex"),
        page=table_page("online"),
    log:
        "<logs>/tables/online.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        tasks=STUDY.tasks,
        times=bench_of(STUDY.tasks, "online"),
        metrics=placed(STUDY.tasks, online_systems, "metrics.json"),
        comparisons=[f"{task}={RESULTS}/comparisons/{task}.online.json" for task in STUDY.tasks],
        shown=flags("tables", STUDY.tables),
    shell:
        "exec python {input.script:q} online --times {params.times:q} --metrics {params.metrics:q}"
        " --comparisons {params.comparisons:q} --tasks {params.tasks:q} --texts {params.texts:q} {params.shown:q}"
        " --output {output:q} 2> {log:q}"


rule datasets_table:
    input:
        script=script("tables"),
        manifests=expand("<results>/{task}/prepare/manifest.json", task=STUDY.tasks),
    output:
        multiext("<results>/tables/datasets", ".csv", ".md", ".tex"),
        page=table_page("datasets"),
    log:
        "<logs>/tables/datasets.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        tasks=STUDY.tasks,
        manifests=of_tasks("prepare/manifest.json"),
        shown=flags("tables", STUDY.tables),
    shell:
        "exec python {input.script:q} datasets --manifests {params.manifests:q} --texts {params.texts:q}"
        " --tasks {params.tasks:q} {params.shown:q} --output {output:q} 2> {log:q}"


rule examples_table:
    input:
        script=script("tables"),
        tests=expand("<results>/{task}/prepare/test.parquet", task=STUDY.tasks),
        generations=files_in(FIRST_OUTPUTS),
    output:
        multiext("<results>/tables/examples", ".csv", ".md", ".tex"),
        page=table_page("examples"),
    log:
        "<logs>/tables/examples.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        tasks=STUDY.tasks,
        rows=row_flags(risk_systems),
        tests=of_tasks("prepare/test.parquet"),
        generations=FIRST_OUTPUTS,
        shown=STUDY.examples_per_task,
    shell:
        "exec python {input.script:q} examples --tests {params.tests:q} --generations {params.generations:q}"
        " --count {params.shown:q} --tasks {params.tasks:q} {params.rows:q} --texts {params.texts:q}"
        " --output {output:q} 2> {log:q}"


# The page to begin with. `snakemake --report` makes another one, of every rule and table, with Snakemake's own means.
rule report_page:
    input:
        script=script("report"),
        metrics=METRICS,
        risks=RISKS,
        comparisons=COMPARISONS,
        claims="<results>/claims.json",
        manifests=expand("<results>/{task}/prepare/manifest.json", task=STUDY.tasks),
        tests=expand("<results>/{task}/prepare/test.parquet", task=STUDY.tasks),
        generations=files_in(FIRST_OUTPUTS),
        histories=files_in(STUDENT_LOGS),
        deployments=files_in(DEPLOYMENTS),
        figures=FIGURES,
    output:
        "<results>/report/index.html",
    log:
        "<logs>/report/index.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        tasks=STUDY.tasks,
        rows=row_flags(table_systems),
        metrics=placed(STUDY.tasks, table_systems, "metrics.json"),
        risks=placed(STUDY.tasks, risk_systems, "risk.json"),
        comparisons=COMPARED,
        manifests=of_tasks("prepare/manifest.json"),
        tests=of_tasks("prepare/test.parquet"),
        generations=FIRST_OUTPUTS,
        histories=STUDENT_LOGS,
        figures=[
            f"{task}/{kind}={RESULTS}/figures/{task}.{kind}.svg" for task in STUDY.tasks for kind in figure_kinds(task)
        ],
        deployments=["--deployments", *DEPLOYMENTS] if DEPLOYMENTS else [],
        examples=STUDY.examples_per_task,
        stages=["--stages", *STUDY.stages] if STUDY.stages else [],
        shown=flags("tables", STUDY.tables),
        # By a function of outputs, which Snakemake does not compare: other options for the same study re-run nothing.
        options=lambda wildcards, output: study_options(),
    shell:
        "exec python {input.script:q} --metrics {params.metrics:q} --risks {params.risks:q}"
        " --comparisons {params.comparisons:q} --claims {input.claims:q} --manifests {params.manifests:q}"
        " --tests {params.tests:q} --generations {params.generations:q} --logs {params.histories:q}"
        " --figures {params.figures:q} {params.deployments:q} --count {params.examples:q} --options {params.options:q} --tasks {params.tasks:q} {params.rows:q} {params.stages:q}"
        " --texts {params.texts:q} {params.shown:q} --output {output:q} 2> {log:q}"


# Not part of `all`. It adds up what has run, whatever the study: it reads the records that jobs write beside their
# outputs, which are no outputs of rules.
rule provenance:
    input:
        script=script("provenance"),
        records=records_of_jobs(),
    output:
        json="<results>/provenance.json",
        table="<results>/provenance.md",
    log:
        "<logs>/provenance.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        results=lambda wildcards, output: str(Path(output.json).parent),
    shell:
        "exec python {input.script:q} --results {params.results:q} --json {output.json:q}"
        " --table {output.table:q} 2> {log:q}"
