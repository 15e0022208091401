# The student: copy layers from the teacher, then train it by one method. Pre-distillation and MLE are methods too. A
# method's entry in config/methods.yaml says which model it starts from, on which sequences it learns, and its losses. In
# a further size of the student, such as e2d1, init_student is init_student-e2d1, and a method js is js-e2d1.


rule init_student:
    input:
        script=script("init_student"),
        teacher=teacher_model,
        # The other models, if the student copies layers from any: teachers of other tasks, the pre-trained checkpoint.
        others=other_models,
    output:
        model=directory("<results>/{task}/{initial_student}/model"),
    log:
        "<logs>/{task}/{initial_student}.log",
    wildcard_constraints:
        task=COPIED_LAYERS,
    priority: 2
    conda:
        ENVIRONMENT
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        layers=lambda wildcards: json.dumps(student_of(wildcards)),
        others=other_model_flags,
        contents=lambda wildcards: contents(pretrained_files(wildcards)),
    shell:
        "exec python {input.script:q} --teacher {input.teacher:q} --layers {params.layers:q} {params.others:q}"
        " --model {output.model:q} --task {wildcards.task:q} --method {wildcards.initial_student:q} 2> {log:q}"


# A student that copies no layers of its teacher, but is a checkpoint by itself or has random weights. It has the tokenizer
# of a teacher that is a model, unless the task gives it one of its own.
rule start_student:
    input:
        script=script("start_student"),
        train="<results>/{task}/prepare/train.parquet",
        dev="<results>/{task}/prepare/dev.parquet",
        test="<results>/{task}/prepare/test.parquet",  # dev and test are only checked, before anything is trained
        teacher=tokenizer_model,
        init=student_init_files,
    output:
        model=directory("<results>/{task}/init_student/model"),
    log:
        "<logs>/{task}/init_student.log",
    wildcard_constraints:
        task=WHOLE_STUDENT,
    priority: 3
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        model=lambda wildcards: whole_model_flags(task_of(wildcards), "student"),
        teacher=lambda wildcards, input: ["--teacher", input.teacher] if input.teacher else [],
        contents=lambda wildcards: contents(student_init_files(wildcards)),
        run=run_flags(STUDY.teacher_seed),
        text=text_flags,
    shell:
        "exec python {input.script:q} --train {input.train:q} --dev {input.dev:q} --test {input.test:q}"
        " --model {output.model:q} {params.model:q} {params.teacher:q} --task {wildcards.task:q} --threads {threads} {params.run:q}"
        " {params.text:q} 2> {log:q}"


rule distill:
    input:
        script=script("distill"),
        start=start_model,
        teacher=teacher_model,
        train="<results>/{task}/prepare/train.parquet",
        dev="<results>/{task}/prepare/dev.parquet",
        teacher_samples=teacher_sequences("teacher_samples"),
        teacher_beam=teacher_sequences("teacher_beam"),
        other_teacher_beam=teacher_sequences("other_teacher_beam"),
        teacher_cache=teacher_cache,
        # The same of the task's unlabelled inputs, for methods that learn from these too.
        unlabelled=unlabelled_of,
        unlabelled_teacher_samples=teacher_sequences("teacher_samples", "unlabelled"),
        unlabelled_teacher_beam=teacher_sequences("teacher_beam", "unlabelled"),
        unlabelled_teacher_cache=lambda wildcards: teacher_cache(wildcards, "unlabelled"),
        encoder=lambda wildcards: encoder_files(
            wildcards, selection_metrics(wildcards, method_of(wildcards)["training"])
        ),
    output:
        model=directory("<results>/{task}/{method}/seed{seed}/model"),
        history="<results>/{task}/{method}/seed{seed}/train.jsonl",
    log:
        "<logs>/{task}/{method}/seed{seed}/distill.log",
    benchmark:
        "<benchmarks>/{task}/{method}/seed{seed}/distill.tsv"
    wildcard_constraints:
        method="|".join(student for student in STUDENTS if split_size(student)[0] != "predistill"),
    priority: 1
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=24 * 60,
    params:
        launch=launch,
        shard=shard_flag,
        terms=lambda wildcards: json.dumps(method_of(wildcards)["terms"]),
        start_method=lambda wildcards: method_of(wildcards)["start"],
        teacher=teacher_flags_of,
        sequences=sequence_flags,
        stream=stream_flags,
        contents=lambda wildcards: contents(
            encoder_files(wildcards, selection_metrics(wildcards, method_of(wildcards)["training"]))
        ),
        sampling=student_sampling_flags,
        objective=objective_flags,
        run=lambda wildcards: run_flags(wildcards.seed),
        training=lambda wildcards: training_flags(wildcards, method_of(wildcards)["training"]),
        encoder=lambda wildcards: encoder_packages(
            wildcards, selection_metrics(wildcards, method_of(wildcards)["training"])
        ),
        safeguards=lambda wildcards, output: safeguard_flags(wildcards, output, method_of(wildcards)["training"]),
    shell:
        "exec {params.launch:q} {input.script:q} --terms {params.terms:q} --start {input.start:q}"
        " --start-method {params.start_method:q} --task {wildcards.task:q} --method {wildcards.method:q}"
        " {params.teacher:q} --train {input.train:q} --dev {input.dev:q}"
        " {params.objective:q} {params.sequences:q} {params.stream:q} {params.sampling:q}"
        " --model {output.model:q} --history {output.history:q}"
        " --threads {threads} {params.run:q} {params.training:q} {params.shard:q} {params.safeguards:q} 2> {log:q}"


# The same rule with a name of its own, so that a profile can set resources for this stage.
use rule distill as predistill with:
    log:
        "<logs>/{task}/{method}/seed{seed}/predistill.log",
    benchmark:
        "<benchmarks>/{task}/{method}/seed{seed}/predistill.tsv"
    wildcard_constraints:
        method="|".join(of_size("predistill", size) for size in STUDY.all_sizes),
    priority: 2


# What the exact mixture of JS does to training, beside the step-wise one, before the first step.
rule mixture:
    input:
        script=script("mixture"),
        start=f"<results>/{{task}}/predistill/seed{STUDY.seeds[0]}/model",
        teacher=teacher_model,
        train="<results>/{task}/prepare/train.parquet",
        teacher_samples="<results>/{task}/sample_teacher/train.teacher_samples.parquet",
    output:
        mixture="<results>/{task}/mixture.json",
    log:
        "<logs>/{task}/mixture.log",
    benchmark:
        "<benchmarks>/{task}/mixture.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        methods=lambda wildcards: json.dumps(
            {method: STUDY.method(method, wildcards.task)["terms"] for method in MIXTURES}
        ),
        text=text_flags,
        training=step_flags,
        run=run_flags(STUDY.seeds[0]),
    shell:
        "exec python {input.script:q} --methods {params.methods:q} --start {input.start:q} --teacher {input.teacher:q}"
        " --train {input.train:q} --teacher-samples {input.teacher_samples:q} --output {output.mixture:q}"
        " --task {wildcards.task:q} --threads {threads} {params.run:q} {params.text:q} {params.training:q} 2> {log:q}"
