# Evaluation: generate outputs for the test split and measure the risks, score the outputs, aggregate over seeds, compare.


rule generate:
    input:
        script=script("generate"),
        model="<results>/{task}/{system}/seed{seed}/model",
        teacher=teacher_model,
        test="<results>/{task}/prepare/test.parquet",
        test_samples=test_samples,
    output:
        generations="<results>/{task}/{system}/seed{seed}/generate.parquet",
        risk="<results>/{task}/{system}/seed{seed}/risk.json",
        replicates="<results>/{task}/{system}/seed{seed}/risk.replicates.parquet",
    log:
        "<logs>/{task}/{system}/seed{seed}/generate.log",
    benchmark:
        "<benchmarks>/{task}/{system}/seed{seed}/generate.tsv"
    wildcard_constraints:
        task=GENERATED,
        system="|".join(MODELS),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=10 * 60,
    params:
        launch=launch,
        shards=lambda wildcards, output: unfinished(output[0], "generate"),
        shard=shard_flag,
        teacher=teacher_flags_of,
        run=lambda wildcards: run_flags(wildcards.seed),
        text=text_flags,
        settings=generate_flags,
    shell:
        "exec {params.launch:q} {input.script:q} --model {input.model:q} --test {input.test:q} {params.teacher:q}"
        " --generations {output.generations:q} --risk {output.risk:q} --shards {params.shards:q}"
        " --task {wildcards.task:q} --method {wildcards.system:q} --threads {threads} {params.run:q} {params.shard:q}"
        " {params.text:q} {params.settings:q} 2> {log:q}"


rule trivial:
    input:
        script=script("trivial"),
        train="<results>/{task}/prepare/train.parquet",
        test="<results>/{task}/prepare/test.parquet",
    output:
        generations="<results>/{task}/{trivial}/seed{seed}/generate.parquet",
    log:
        "<logs>/{task}/{trivial}/seed{seed}/trivial.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        system=lambda wildcards: (
            task_of(wildcards)["copy_baseline"] if wildcards.trivial == "copy" else wildcards.trivial
        ),
    shell:
        "exec python {input.script:q} --system {params.system:q} --train {input.train:q} --test {input.test:q}"
        " --task {wildcards.task:q} --method {wildcards.trivial:q} --generations {output.generations:q} 2> {log:q}"


rule score:
    input:
        script=script("score"),
        test="<results>/{task}/prepare/test.parquet",
        generations="<results>/{task}/{system}/seed{seed}/generate.parquet",
        encoders=encoder_files,
    output:
        score="<results>/{task}/{system}/seed{seed}/score.json",
        replicates="<results>/{task}/{system}/seed{seed}/score.replicates.parquet",
    log:
        "<logs>/{task}/{system}/seed{seed}/score.log",
    benchmark:
        "<benchmarks>/{task}/{system}/seed{seed}/score.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=2 * 60,
    params:
        metrics=lambda wildcards: task_of(wildcards)["metrics"],
        options=lambda wildcards: json.dumps(task_of(wildcards)["metric_options"]),
        contents=lambda wildcards: contents(encoder_files(wildcards)),
        packages=encoder_packages,
        so_far=lambda wildcards, output: unfinished(output[0], "score.json"),
        device=STUDY.device,
    shell:
        "exec python {input.script:q} --test {input.test:q} --generations {input.generations:q}"
        " --metrics {params.metrics:q} --metric-options {params.options:q} --device {params.device:q}"
        " --task {wildcards.task:q}"
        " --method {wildcards.system:q} --seed {wildcards.seed:q} --threads {threads} --output {output.score:q}"
        " --so-far {params.so_far:q} 2> {log:q}"


rule metrics:
    input:
        script=script("metrics"),
        scores=lambda wildcards: results(wildcards.task, wildcards.system, "score.json"),
        replicates=lambda wildcards: results(wildcards.task, wildcards.system, "score.replicates.parquet"),
    output:
        metrics="<results>/{task}/{system}/metrics.json",
        replicates="<results>/{task}/{system}/metrics.replicates.parquet",
    log:
        "<logs>/{task}/{system}/metrics.log",
    localrule: True  # means of a few numbers: a second here, minutes in a cluster's queue
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        seeds=lambda wildcards: seeds_of(wildcards.system),
    shell:
        "exec python {input.script:q} --scores {input.scores:q} --seeds {params.seeds:q} --output {output.metrics:q}"
        " --task {wildcards.task:q} --method {wildcards.system:q} 2> {log:q}"


rule risks:
    input:
        script=script("metrics"),
        risks=lambda wildcards: results(wildcards.task, wildcards.system, "risk.json"),
        replicates=lambda wildcards: results(wildcards.task, wildcards.system, "risk.replicates.parquet"),
    output:
        risks="<results>/{task}/{system}/risk.json",
        replicates="<results>/{task}/{system}/risk.replicates.parquet",
    log:
        "<logs>/{task}/{system}/risks.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        seeds=lambda wildcards: seeds_of(wildcards.system),
    shell:
        "exec python {input.script:q} --risks {input.risks:q} --seeds {params.seeds:q} --output {output.risks:q}"
        " --task {wildcards.task:q} --method {wildcards.system:q} 2> {log:q}"


rule compare:
    input:
        script=script("compare"),
        files=lambda wildcards: [
            f"{RESULTS}/{wildcards.task}/{system}/{kind}.{suffix}"
            for system in risk_systems(wildcards.task)
            for kind in ("metrics", "risk")
            for suffix in ("json", "replicates.parquet")
        ],
    output:
        comparison="<results>/comparisons/{task}.json",
    log:
        "<logs>/comparisons/{task}.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        students=lambda wildcards: STUDY.students(wildcards.task),
        metrics=lambda wildcards: placed([wildcards.task], risk_systems, "metrics.json"),
        risks=lambda wildcards: placed([wildcards.task], risk_systems, "risk.json"),
    shell:
        "exec python {input.script:q} --metrics {params.metrics:q} --risks {params.risks:q}"
        " --students {params.students:q} --task {wildcards.task:q} --output {output.comparison:q} 2> {log:q}"


# The methods that the study has offline and online by themselves, for the table of these alone.
use rule compare as compare_online with:
    input:
        script=script("compare"),
        files=lambda wildcards: [
            f"{RESULTS}/{wildcards.task}/{system}/{kind}.{suffix}"
            for system in ["teacher", *online_systems(wildcards.task)]
            for kind in ("metrics", "risk")
            for suffix in ("json", "replicates.parquet")
        ],
    output:
        comparison="<results>/comparisons/{task}.online.json",
    log:
        "<logs>/comparisons/{task}.online.log",
    localrule: True  # which is not inherited
    params:
        students=lambda wildcards: online_systems(wildcards.task),
        metrics=lambda wildcards: placed([wildcards.task], online_systems, "metrics.json"),
        risks=lambda wildcards: placed([wildcards.task], lambda task: ["teacher", *online_systems(task)], "risk.json"),
