# Perplexity on the references of the test split: of the teacher, of each student as initialised, and of what every method
# makes of it. It is no part of `all`: target `perplexity` makes the table.


PERPLEXITIES = [argument for task in STUDY.tasks for argument in perplexities(task)]


rule perplexity_of:
    input:
        script=script("perplexity"),
        model="<results>/{task}/{folder}/model",
        test="<results>/{task}/prepare/test.parquet",
    output:
        json="<results>/{task}/{folder}/perplexity.json",
    log:
        "<logs>/{task}/{folder}/perplexity.log",
    benchmark:
        "<benchmarks>/{task}/{folder}/perplexity.tsv"
    wildcard_constraints:
        task=GENERATED,
        folder="|".join([*INITIAL_STUDENTS, rf"({'|'.join(MODELS)})/seed\d+"]),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=2 * 60,
    params:
        launch=launch,
        shards=lambda wildcards, output: unfinished(output[0], "perplexity"),
        shard=lambda wildcards: shard_flag(wildcards) if wildcards.folder.startswith("teacher/") else [],
        system=lambda wildcards: wildcards.folder.split("/")[0],
        run=run_flags(STUDY.teacher_seed),
        text=text_flags,
        batch_size=lambda wildcards: flags("risk", task_of(wildcards)["risk"], keys=("batch_size",)),
        memory=lambda wildcards: memory_flags(task_of(wildcards)["risk"]),
    shell:
        "exec {params.launch:q} {input.script:q} --model {input.model:q} --test {input.test:q} --output {output.json:q}"
        " --shards {params.shards:q} --task {wildcards.task:q} --method {params.system:q} --threads {threads} {params.run:q}"
        " {params.shard:q} {params.text:q} {params.batch_size:q} {params.memory:q} 2> {log:q}"


rule perplexity_table:
    input:
        script=script("tables"),
        perplexities=files_in(PERPLEXITIES),
    output:
        multiext("<results>/tables/perplexity", ".csv", ".md", ".tex"),
        page=table_page("perplexity"),
    log:
        "<logs>/tables/perplexity.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        tasks=STUDY.tasks,
        systems=list(dict.fromkeys(argument.partition("=")[0].split("/")[1] for argument in PERPLEXITIES)),
        perplexities=PERPLEXITIES,
    shell:
        "exec python {input.script:q} perplexity --perplexities {params.perplexities:q} --tasks {params.tasks:q}"
        " --systems {params.systems:q} --texts {params.texts:q} --output {output:q} 2> {log:q}"


rule perplexity:
    input:
        expand("<results>/tables/perplexity.{suffix}", suffix=("csv", "md", "tex", "html")),
