# The benchmark: time and memory of a training step, with random weights in each task's shapes. It is not part of `all`;
# run it on a machine that does nothing else. A conda environment does not contain the baselines of the extra `bench`
# (TRL, Liger); the tables then say that they are missing.
BENCH_METHODS = json.dumps({method: STUDY.method(method)["terms"] for method in ("js", "tvd")})


rule bench_task:
    input:
        script=script("bench"),
        init=init_files,
    output:
        json="<results>/bench/{task}.json",
        table="<results>/bench/{task}.md",
    log:
        "<logs>/bench/{task}.log",
    conda:
        ENVIRONMENT
    threads: 64  # all cores of the machine: jobs at the same time would slow each other down
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        model=lambda wildcards: json.dumps(task_of(wildcards)["model"]),
        contents=lambda wildcards: contents(init_files(wildcards)),
        methods=BENCH_METHODS,
        text=text_flags,
        training=step_flags,
        kept=top_k_flags,
        run=run_flags(STUDY.teacher_seed),
    shell:
        "exec python {input.script:q} --model {params.model:q} --methods {params.methods:q} --json {output.json:q}"
        " --table {output.table:q} {params.run:q} {params.text:q} {params.training:q} {params.kept:q} 2> {log:q}"


rule bench_offline:
    input:
        script=script("bench_offline"),
        init=init_files,
    output:
        json="<results>/bench/{task}.offline.json",
        table="<results>/bench/{task}.offline.md",
    log:
        "<logs>/bench/{task}.offline.log",
    conda:
        ENVIRONMENT
    threads: 64
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        model=lambda wildcards: json.dumps(task_of(wildcards)["model"]),
        contents=lambda wildcards: contents(init_files(wildcards)),
        text=text_flags,
        run=run_flags(STUDY.teacher_seed),
        memory=memory_flags({"batch_size": None}),
    shell:
        "exec python {input.script:q} --model {params.model:q} --json {output.json:q} --table {output.table:q}"
        " {params.run:q} {params.memory:q} {params.text:q} 2> {log:q}"


rule bench_loss:
    input:
        script=script("bench_loss"),
    output:
        json="<results>/bench/loss.json",
        table="<results>/bench/loss.md",
    log:
        "<logs>/bench/loss.log",
    conda:
        ENVIRONMENT
    threads: 64
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        methods=BENCH_METHODS,
        run=run_flags(STUDY.teacher_seed),
    shell:
        "exec python {input.script:q} --methods {params.methods:q} --json {output.json:q} --table {output.table:q}"
        " {params.run:q} 2> {log:q}"


rule bench_growth:
    input:
        script=script("bench_growth"),
        init=lambda wildcards: [file for task in TEACHER_TASKS for file in init_files_of(STUDY.task(task))],
        # The numbers of examples of a task whose source does not state them.
        manifests=[
            f"{RESULTS}/{task}/prepare/manifest.json"
            for task in TEACHER_TASKS
            if stated_counts(STUDY.task(task)) is None
        ],
    output:
        json="<results>/bench/growth.json",
        table="<results>/bench/growth.md",
    log:
        "<logs>/bench/growth.log",
    conda:
        ENVIRONMENT
    threads: 64
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        tasks=lambda wildcards: json.dumps({task: without_texts(STUDY.task(task)) for task in TEACHER_TASKS}),
        manifests=lambda wildcards, input: [f"{Path(path).parts[-3]}={path}" for path in input.manifests],
        seeds=len(STUDY.seeds),
        memory=memory_flags({"batch_size": None}),
        methods=lambda wildcards: json.dumps({name: without_texts(method) for name, method in STUDY.trained().items()}),
        terms=json.dumps(STUDY.method("js")["terms"]),
        run=run_flags(STUDY.teacher_seed),
    shell:
        "exec python {input.script:q} --tasks {params.tasks:q} --methods {params.methods:q} --terms {params.terms:q}"
        " --study-seeds {params.seeds:q} --manifests {params.manifests:q} {params.memory:q}"
        " --json {output.json:q} --table {output.table:q} {params.run:q} 2> {log:q}"


# Inference time by numbers of layers, for the table `shleifer_rush/layers`.
rule bench_layers:
    input:
        script=script("bench_layers"),
        init=init_files,
    output:
        json="<results>/bench/{task}.layers.json",
    log:
        "<logs>/bench/{task}.layers.log",
    conda:
        ENVIRONMENT
    threads: 64
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        model=lambda wildcards: json.dumps(task_of(wildcards)["model"]),
        contents=lambda wildcards: contents(init_files(wildcards)),
        text=text_flags,
        precision=lambda wildcards: task_of(wildcards)["training"]["distill"]["precision"],
        run=run_flags(STUDY.teacher_seed),
    shell:
        "exec python {input.script:q} --model {params.model:q} --json {output.json:q} --task {wildcards.task:q}"
        " --precision {params.precision:q} {params.run:q} {params.text:q} 2> {log:q}"


rule layers_table:
    input:
        script=script("tables"),
        times=expand("<results>/bench/{task}.layers.json", task=TEACHER_TASKS),
    output:
        multiext("<results>/tables/shleifer_rush/layers", ".csv", ".md", ".tex"),
        page=table_page("shleifer_rush/layers"),
    log:
        "<logs>/tables/shleifer_rush/layers.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
        runtime=10,
    params:
        texts=TEXTS_FILE,
        tasks=TEACHER_TASKS,
        times=bench_of(TEACHER_TASKS, "layers"),
        shown=flags("tables", STUDY.tables),
    shell:
        "exec python {input.script:q} layers --times {params.times:q} --tasks {params.tasks:q}"
        " --texts {params.texts:q} {params.shown:q} --output {output:q} 2> {log:q}"


# The steps of the table `online`, with the models and data of the study.
rule bench_online:
    input:
        script=script("bench_online"),
        start=f"<results>/{{task}}/predistill/seed{STUDY.seeds[0]}/model",
        teacher=teacher_model,
        train="<results>/{task}/prepare/train.parquet",
        teacher_samples="<results>/{task}/sample_teacher/train.teacher_samples.parquet",
    output:
        json="<results>/bench/{task}.online.json",
    log:
        "<logs>/bench/{task}.online.log",
    conda:
        ENVIRONMENT
    threads: 64
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        methods=lambda wildcards: json.dumps(
            {method: STUDY.method(method, wildcards.task)["terms"] for method in online_systems(wildcards.task)}
        ),
        text=text_flags,
        training=step_flags,
        run=run_flags(STUDY.seeds[0]),
    shell:
        "exec python {input.script:q} --methods {params.methods:q} --start {input.start:q} --teacher {input.teacher:q}"
        " --train {input.train:q} --teacher-samples {input.teacher_samples:q} --output {output.json:q}"
        " --task {wildcards.task:q} {params.run:q} {params.text:q} {params.training:q} 2> {log:q}"


rule bench:
    input:
        "<results>/bench/loss.md",
        "<results>/bench/growth.md",
        [f"{RESULTS}/bench/{task}{what}.md" for task in TEACHER_TASKS for what in ("", ".offline")],
