# Human evaluation: a blinded kit for annotators, and the table of what they answer. Not part of `all`, because it needs
# people: the user puts their files into results/{task}/human/ratings/.


rule human_kit:
    input:
        script=script("human"),
        test="<results>/{task}/prepare/test.parquet",
        generations=rated_outputs,
    output:
        # `update`: otherwise Snakemake would delete the key before the script could refuse to replace one that is needed.
        page=update("<results>/{task}/human/annotate.html"),
        csv=update("<results>/{task}/human/annotate.csv"),
        key=update("<results>/{task}/human/key.json"),
    log:
        "<logs>/{task}/human/kit.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        generations=lambda wildcards, input: [
            f"{system}={file}" for system, file in zip(rated_systems(wildcards), input.generations)
        ],
        aspects=lambda wildcards: json.dumps(task_of(wildcards)["human"]["aspects"]),
        settings=lambda wildcards: flags(
            "human", {key: task_of(wildcards)["human"][key] for key in ("inputs", "scale", "seed")}
        ),
        ratings=ratings_folder,
    shell:
        "exec python {input.script:q} kit --test {input.test:q} --generations {params.generations:q}"
        " --task {wildcards.task:q} --aspects {params.aspects:q} {params.settings:q} --texts {params.texts:q}"
        " --ratings {params.ratings:q} --page {output.page:q} --csv {output.csv:q} --key {output.key:q} 2> {log:q}"


rule human_table:
    input:
        script=script("human"),
        key="<results>/{task}/human/key.json",
        ratings=ratings,
    output:
        multiext("<results>/human/{task}", ".csv", ".md", ".tex"),
        page=report(
            "<results>/human/{task}.html",
            caption="../workflow/report/human.rst",
            category="Human evaluation",
            labels={"task": "{task}"},
        ),
        results="<results>/human/{task}.json",
    log:
        "<logs>/human/{task}.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        contents=lambda wildcards: contents(ratings(wildcards)),
        tables=lambda wildcards, output: [file for file in output if file != output.results],
        shown=flags("tables", STUDY.tables),
    shell:
        "exec python {input.script:q} table --ratings {input.ratings:q} --key {input.key:q} --task {wildcards.task:q}"
        " --texts {params.texts:q} {params.shown:q} --results {output.results:q} --output {params.tables:q} 2> {log:q}"
