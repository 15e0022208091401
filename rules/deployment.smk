# What models cost in use: size, latency, throughput, memory, and the scores of int8 weights. Times beside other jobs are
# worth nothing, so that a job has all cores; and it is part of `all` only in a study with `deployment: true`. Target
# `deployment` makes the table and the figures in any study.


rule deployment_model:
    input:
        script=script("deployment"),
        model=lambda wildcards: first_seed(wildcards, "model"),
        teacher=teacher_model,
        test="<results>/{task}/prepare/test.parquet",
        score=lambda wildcards: first_seed(wildcards, "score.json"),
        replicates=lambda wildcards: first_seed(wildcards, "score.replicates.parquet"),
        encoders=encoder_files,
    output:
        json="<results>/{task}/{system}/deployment.json",
    log:
        "<logs>/{task}/{system}/deployment.log",
    benchmark:
        "<benchmarks>/{task}/{system}/deployment.tsv"
    wildcard_constraints:
        system="|".join(MODELS),
    conda:
        ENVIRONMENT
    threads: 64  # all cores of the machine: jobs at the same time would slow each other down
    resources:
        mem_mb=8000,
        runtime=10 * 60,
    params:
        teacher=teacher_flags_of,
        run=lambda wildcards: run_flags(seeds_of(wildcards.system)[0]),
        text=text_flags,
        decoding=lambda wildcards: flags("decoding", task_of(wildcards)["decoding"]),
        memory=lambda wildcards: memory_flags(task_of(wildcards)["decoding"]),
        options=lambda wildcards: json.dumps(task_of(wildcards)["metric_options"]),
        contents=lambda wildcards: contents(encoder_files(wildcards)),
        packages=encoder_packages,
    shell:
        "exec python {input.script:q} --model {input.model:q} {params.teacher:q} --test {input.test:q}"
        " --score {input.score:q} --output {output.json:q} --metric-options {params.options:q}"
        " --task {wildcards.task:q} --method {wildcards.system:q} {params.run:q} {params.text:q} {params.decoding:q}"
        " {params.memory:q} 2> {log:q}"


rule deployment_table:
    input:
        script=script("tables"),
        deployments=files_in(placed(STUDY.tasks, model_systems, "deployment.json")),
    output:
        multiext("<results>/tables/deployment", ".csv", ".md", ".tex"),
        page=table_page("deployment"),
    log:
        "<logs>/tables/deployment.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        tasks=STUDY.tasks,
        rows=row_flags(model_systems),
        deployments=placed(STUDY.tasks, model_systems, "deployment.json"),
    shell:
        "exec python {input.script:q} deployment --deployments {params.deployments:q} --tasks {params.tasks:q}"
        " {params.rows:q} --texts {params.texts:q} --output {output:q} 2> {log:q}"


rule latency_figure:
    input:
        script=script("figures"),
        deployments=lambda wildcards: files_in(placed([wildcards.task], model_systems, "deployment.json")),
    output:
        report(
            "<results>/figures/{task}.latency.svg",
            caption="../workflow/report/latency.rst",
            category="Cost",
            labels={"task": "{task}"},
        ),
    log:
        "<logs>/figures/{task}.latency.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        deployments=lambda wildcards: placed([wildcards.task], model_systems, "deployment.json"),
        systems=lambda wildcards: model_systems(wildcards.task),
    shell:
        "exec python {input.script:q} latency --deployments {params.deployments:q} --systems {params.systems:q}"
        " --task {wildcards.task:q} --texts {params.texts:q} --output {output:q} 2> {log:q}"


rule deployment:
    input:
        expand("<results>/tables/deployment.{suffix}", suffix=("csv", "md", "tex", "html")),
        expand("<results>/figures/{task}.latency.svg", task=STUDY.tasks),
