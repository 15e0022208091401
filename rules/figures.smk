# Figures, with their captions in the report. They are local rules, as those in report.smk.


rule training_curves:
    input:
        script=script("figures"),
        histories=lambda wildcards: files_in(curves_of(wildcards.task, model_systems(wildcards.task))),
    output:
        report(
            "<results>/figures/{task}.curves.svg",
            caption="../workflow/report/curves.rst",
            category="Training curves",
            labels={"task": "{task}"},
        ),
    log:
        "<logs>/figures/{task}.curves.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        histories=lambda wildcards: curves_of(wildcards.task, model_systems(wildcards.task)),
        systems=lambda wildcards: model_systems(wildcards.task),
    shell:
        "exec python {input.script:q} training --logs {params.histories:q} --systems {params.systems:q}"
        " --task {wildcards.task:q} --texts {params.texts:q} --output {output:q} 2> {log:q}"


rule risk_figure:
    input:
        script=script("figures"),
        risks=lambda wildcards: files_in(placed([wildcards.task], risk_systems, "risk.json")),
    output:
        report(
            "<results>/figures/{task}.risk.svg",
            caption="../workflow/report/risk_figure.rst",
            category="Risks",
            labels={"task": "{task}"},
        ),
    log:
        "<logs>/figures/{task}.risk.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        risks=lambda wildcards: placed([wildcards.task], risk_systems, "risk.json"),
        systems=lambda wildcards: risk_systems(wildcards.task),
    shell:
        "exec python {input.script:q} risk --risks {params.risks:q} --systems {params.systems:q}"
        " --task {wildcards.task:q} --texts {params.texts:q} --output {output:q} 2> {log:q}"


rule cost_figure:
    input:
        script=script("figures"),
        metrics=lambda wildcards: files_in(placed([wildcards.task], risk_systems, "metrics.json")),
        # Beside them are the records of the trainings, with the times.
        histories=lambda wildcards: files_in(curves_of(wildcards.task, ask(STUDY.students, wildcards.task))),
    output:
        report(
            "<results>/figures/{task}.cost.svg",
            caption="../workflow/report/cost.rst",
            category="Cost",
            labels={"task": "{task}"},
        ),
    log:
        "<logs>/figures/{task}.cost.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        metrics=lambda wildcards: placed([wildcards.task], risk_systems, "metrics.json"),
        histories=lambda wildcards: curves_of(wildcards.task, ask(STUDY.students, wildcards.task)),
        systems=lambda wildcards: risk_systems(wildcards.task),
    shell:
        "exec python {input.script:q} cost --metrics {params.metrics:q} --logs {params.histories:q}"
        " --systems {params.systems:q} --task {wildcards.task:q} --texts {params.texts:q} --output {output:q} 2> {log:q}"


rule size_figure:
    input:
        script=script("figures"),
        metrics=lambda wildcards: files_in(placed([wildcards.task], risk_systems, "metrics.json")),
    output:
        report(
            "<results>/figures/{task}.sizes.svg",
            caption="../workflow/report/sizes.rst",
            category="Student sizes",
            labels={"task": "{task}"},
        ),
    log:
        "<logs>/figures/{task}.sizes.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        metrics=lambda wildcards: placed([wildcards.task], risk_systems, "metrics.json"),
        systems=["teacher", *STUDY.methods],
        student=lambda wildcards: json.dumps(task_of(wildcards)["model"]["student"]),
        sizes=lambda wildcards: json.dumps(
            {size: task_of(wildcards, size)["model"]["student"] for size in ask(STUDY.sizes, wildcards.task)[1:]}
        ),
    shell:
        "exec python {input.script:q} sizes --metrics {params.metrics:q} --student {params.student:q}"
        " --student-sizes {params.sizes:q} --systems {params.systems:q} --task {wildcards.task:q}"
        " --texts {params.texts:q} --output {output:q} 2> {log:q}"


rule mixture_figure:
    input:
        script=script("figures"),
        mixture="<results>/{task}/mixture.json",
        histories=lambda wildcards: files_in(curves_of(wildcards.task, MIXTURES)),
    output:
        report(
            "<results>/figures/{task}.mixture.svg",
            caption="../workflow/report/mixture.rst",
            category="The mixture of JS",
            labels={"task": "{task}"},
        ),
    log:
        "<logs>/figures/{task}.mixture.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        histories=lambda wildcards: curves_of(wildcards.task, MIXTURES),
        systems=lambda wildcards: risk_systems(wildcards.task),
    shell:
        "exec python {input.script:q} mixture --mixture {input.mixture:q} --logs {params.histories:q}"
        " --systems {params.systems:q} --task {wildcards.task:q} --texts {params.texts:q} --output {output:q} 2> {log:q}"


# Not part of `all`: it is the same in every study.
rule modes_figure:
    input:
        script=script("modes"),
    output:
        json="<results>/figures/modes.json",
        figure=report(
            "<results>/figures/modes.svg",
            caption="../workflow/report/modes.rst",
            category="Modes",
        ),
    log:
        "<logs>/figures/modes.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        methods=json.dumps({method: STUDY.method(method)["terms"] for method in ("kl", "js", "tvd", "rkl")}),
    shell:
        "exec python {input.script:q} --methods {params.methods:q} --texts {params.texts:q} --json {output.json:q}"
        " --figure {output.figure:q} 2> {log:q}"
