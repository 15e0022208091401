# Evaluation: answer the test split, score the answers, measure the risks, average over seeds.


rule generate:
    input:
        script=script("generate"),
        model="results/{task}/{system}/seed{seed}/model",
        test="results/{task}/prepare/test.parquet",
    output:
        generations="results/{task}/{system}/seed{seed}/generate.parquet",
    log:
        "logs/{task}/{system}/seed{seed}/generate.log",
    benchmark:
        "benchmarks/{task}/{system}/seed{seed}/generate.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=8 * 60,
    params:
        run=lambda wildcards: run_flags(wildcards.seed),
        text=text_flags,
        decoding=lambda wildcards: flags("decoding", task_of(wildcards)["decoding"]),
    shell:
        "python {input.script} --model {input.model} --test {input.test} --generations {output.generations}"
        " --threads {threads} {params.run:q} {params.text:q} {params.decoding:q} 2> {log}"


ruleorder: trivial > generate


rule trivial:
    input:
        script=script("trivial"),
        train="results/{task}/prepare/train.parquet",
        test="results/{task}/prepare/test.parquet",
    output:
        generations="results/{task}/{trivial}/seed{seed}/generate.parquet",
    log:
        "logs/{task}/{trivial}/seed{seed}/trivial.log",
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
        "python {input.script} --system {params.system} --train {input.train} --test {input.test}"
        " --generations {output.generations} 2> {log}"


rule score:
    input:
        script=script("score"),
        test="results/{task}/prepare/test.parquet",
        generations="results/{task}/{system}/seed{seed}/generate.parquet",
    output:
        score="results/{task}/{system}/seed{seed}/score.json",
    log:
        "logs/{task}/{system}/seed{seed}/score.log",
    benchmark:
        "benchmarks/{task}/{system}/seed{seed}/score.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=2 * 60,
    params:
        metrics=lambda wildcards: task_of(wildcards)["metrics"],
        options=lambda wildcards: json.dumps(task_of(wildcards)["metric_options"]),
    shell:
        "python {input.script} --test {input.test} --generations {input.generations} --metrics {params.metrics:q}"
        " --metric-options {params.options:q} --task {wildcards.task} --method {wildcards.system}"
        " --seed {wildcards.seed} --threads {threads} --output {output.score} 2> {log}"


rule risk:
    input:
        script=script("risk"),
        student="results/{task}/{system}/seed{seed}/model",
        teacher=teacher_model,
        test="results/{task}/prepare/test.parquet",
        teacher_samples="results/{task}/sample_teacher/test.teacher_samples.parquet",
    output:
        risk="results/{task}/{system}/seed{seed}/risk.json",
    log:
        "logs/{task}/{system}/seed{seed}/risk.log",
    benchmark:
        "benchmarks/{task}/{system}/seed{seed}/risk.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=2 * 60,
    params:
        run=lambda wildcards: run_flags(wildcards.seed),
        text=text_flags,
        batch_size=lambda wildcards: task_of(wildcards)["risk"]["batch_size"],
    shell:
        "python {input.script} --student {input.student} --teacher {input.teacher} --test {input.test}"
        " --teacher-samples {input.teacher_samples} --batch-size {params.batch_size} --risk {output.risk}"
        " --task {wildcards.task} --method {wildcards.system} --threads {threads} {params.run:q} {params.text:q} 2> {log}"


rule metrics:
    input:
        script=script("metrics"),
        scores=lambda wildcards: results(wildcards.task, wildcards.system, "score.json"),
    output:
        metrics="results/{task}/{system}/metrics.json",
    log:
        "logs/{task}/{system}/metrics.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    shell:
        "python {input.script} --scores {input.scores} --output {output.metrics} 2> {log}"


rule risks:
    input:
        script=script("metrics"),
        risks=lambda wildcards: results(wildcards.task, wildcards.system, "risk.json"),
    output:
        risks="results/{task}/{system}/risk.json",
    log:
        "logs/{task}/{system}/risks.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    shell:
        "python {input.script} --risks {input.risks} --output {output.risks} 2> {log}"
