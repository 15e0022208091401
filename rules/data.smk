# Data: prepare a task's splits. A task that names a file of unlabelled inputs has two jobs, so that other inputs re-run
# what reads them and nothing else: neither the teacher nor methods that learn from labels.


rule prepare:
    input:
        script=script("prepare"),
        # The user's own files, if the task reads any: Snakemake reports missing files and prepares changed ones again.
        files=lambda wildcards: input_files(source_of(wildcards)),
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
    wildcard_constraints:
        task=one_of(task for task in STUDY.all_tasks if task not in WITH_UNLABELLED_FILE),
    priority: 4  # all other jobs wait for it
    localrule: True  # it downloads, and compute nodes of a cluster often have no network
    conda:
        ENVIRONMENT
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        **source_params(),
    shell:
        "exec python {input.script:q} --kind {params.kind:q} --options {params.options:q} {params.own_files:q}"
        " --task {wildcards.task:q} 2> {log:q}"


use rule prepare as prepare_labelled with:
    input:
        script=script("prepare"),
        files=lambda wildcards: input_files(source_of(wildcards, labelled_only=True)),
    output:
        train="<results>/{task}/prepare/train.parquet",
        dev="<results>/{task}/prepare/dev.parquet",
        test="<results>/{task}/prepare/test.parquet",
    log:
        "<logs>/{task}/prepare_labelled.log",
    benchmark:
        "<benchmarks>/{task}/prepare_labelled.tsv"
    wildcard_constraints:
        task=one_of(WITH_UNLABELLED_FILE),
    localrule: True  # which is not inherited
    params:
        **source_params(labelled_only=True),


# It reads the user's files of the splits too: ids must be unique, and the manifest says what the inputs have in common
# with the splits. It also has the hashes of the prepared ones.
use rule prepare as prepare_unlabelled with:
    input:
        script=script("prepare"),
        files=lambda wildcards: input_files(source_of(wildcards)),
        labelled=expand("<results>/{{task}}/prepare/{split}.parquet", split=["train", "dev", "test"]),
    output:
        unlabelled="<results>/{task}/prepare/unlabelled.parquet",
        manifest="<results>/{task}/prepare/manifest.json",
    log:
        "<logs>/{task}/prepare_unlabelled.log",
    benchmark:
        "<benchmarks>/{task}/prepare_unlabelled.tsv"
    wildcard_constraints:
        task=one_of(WITH_UNLABELLED_FILE),
    localrule: True  # which is not inherited
