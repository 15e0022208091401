# Data: prepare a task's splits.


rule prepare:
    input:
        script=script("prepare"),
        # The user's own files, if the task reads any: Snakemake reports missing files and prepares changed ones again.
        files=lambda wildcards: input_files(task_of(wildcards)["source"]),
    output:
        train="<results>/{task}/prepare/train.parquet",
        dev="<results>/{task}/prepare/dev.parquet",
        test="<results>/{task}/prepare/test.parquet",
        unlabelled="<results>/{task}/prepare/unlabelled.parquet",  # without rows, if the task has no unlabelled inputs
        manifest="<results>/{task}/prepare/manifest.json",
    log:
        "<logs>/{task}/prepare.log",
    benchmark:
        "<benchmarks>/{task}/prepare.tsv"
    priority: 4  # all other jobs wait for it
    localrule: True  # it downloads, and compute nodes of a cluster often have no network
    conda:
        ENVIRONMENT
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        kind=lambda wildcards: task_of(wildcards)["source"]["kind"],
        options=lambda wildcards: json.dumps({k: v for k, v in task_of(wildcards)["source"].items() if k != "kind"}),
        contents=lambda wildcards: contents(input_files(task_of(wildcards)["source"])),
    shell:
        "exec python {input.script:q} --kind {params.kind:q} --options {params.options:q}"
        " --train {output.train:q} --dev {output.dev:q} --test {output.test:q} --unlabelled {output.unlabelled:q}"
        " --manifest {output.manifest:q} --task {wildcards.task:q} 2> {log:q}"
