# Another teacher's labels of the training split, which reach the student as text, and the quality of all labels.


rule label:
    input:
        script=script("label"),
        split="<results>/{task}/prepare/train.parquet",
        # Its checkpoint, or the labels, if they lie on this machine: replaced ones re-run what depends on them.
        other=other_teacher_files,
    output:
        labels="<results>/{task}/label/train.parquet",
    log:
        "<logs>/{task}/label.log",
    benchmark:
        "<benchmarks>/{task}/label.tsv"
    priority: 4  # a user's labels that do not fit the split are refused before the teacher is trained
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=24 * 60,
    params:
        launch=launch,
        shards=lambda wildcards, output: unfinished(output[0], "label"),
        contents=lambda wildcards: contents(other_teacher_files(wildcards)),
        run=run_flags(STUDY.teacher_seed),
        other=other_teacher_flags,
    shell:
        "exec {params.launch:q} {input.script:q} --split {input.split:q} --labels {output.labels:q}"
        " --task {wildcards.task:q} --shards {params.shards:q} --threads {threads} {params.run:q} {params.other:q}"
        " 2> {log:q}"


rule encode_labels:
    input:
        script=script("encode_labels"),
        split="<results>/{task}/prepare/train.parquet",
        labels="<results>/{task}/label/train.parquet",
        teacher=teacher_model,
    output:
        samples="<results>/{task}/encode_labels/train.other_teacher_beam.parquet",
    log:
        "<logs>/{task}/encode_labels.log",
    priority: 2
    conda:
        ENVIRONMENT
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        text=text_flags,
        size=lambda wildcards: size_flags(task_of(wildcards)),
    shell:
        "exec python {input.script:q} --split {input.split:q} --labels {input.labels:q} --teacher {input.teacher:q}"
        " --samples {output.samples:q} --task {wildcards.task:q} {params.text:q} {params.size:q} 2> {log:q}"


rule label_quality:
    input:
        script=script("label_quality"),
        split="<results>/{task}/prepare/train.parquet",
        samples=lambda wildcards: stored_sequences(wildcards.task, wildcards.label_kind),
        teacher=teacher_model,
        encoders=encoder_files,
    output:
        quality="<results>/{task}/label_quality/{label_kind}.json",
    log:
        "<logs>/{task}/label_quality/{label_kind}.log",
    wildcard_constraints:
        label_kind="|".join(LABEL_KINDS),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=4 * 60,
    params:
        metrics=lambda wildcards: task_of(wildcards)["metrics"],
        options=lambda wildcards: json.dumps(task_of(wildcards)["metric_options"]),
        contents=lambda wildcards: contents(encoder_files(wildcards)),
        packages=encoder_packages,
        size=lambda wildcards: size_flags(task_of(wildcards)),
    shell:
        "exec python {input.script:q} --split {input.split:q} --samples {input.samples:q} --teacher {input.teacher:q}"
        " --kind {wildcards.label_kind:q} --metrics {params.metrics:q} --metric-options {params.options:q}"
        " --output {output.quality:q} --task {wildcards.task:q} --threads {threads} {params.size:q} 2> {log:q}"
