# The student: copy layers from the teacher, then train it by one method. Pre-distillation and MLE are methods too; what
# a method starts from, learns from and aims at is its entry in config/methods.yaml.


rule init_student:
    input:
        script=script("init_student"),
        teacher=teacher_model,
    output:
        model=directory("results/{task}/init_student/model"),
    log:
        "logs/{task}/init_student.log",
    conda:
        "fdistill"
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        layers=lambda wildcards: json.dumps(task_of(wildcards)["model"]["student"]),
    shell:
        "python {input.script} --teacher {input.teacher} --layers {params.layers:q} --model {output.model} 2> {log}"


def start_model(wildcards):
    """The model that a method starts from."""
    if STUDY.method(wildcards.method)["start"] == "init_student":
        return f"results/{wildcards.task}/init_student/model"
    return f"results/{wildcards.task}/predistill/seed{wildcards.seed}/model"


def teacher_sequences(kind):
    """An input function: the stored teacher sequences of one kind, for the methods that learn from them."""

    def stored(wildcards):
        kinds = [term["sequences"] for term in STUDY.method(wildcards.method)["terms"]]
        return [f"results/{wildcards.task}/sample_teacher/train.{kind}.parquet"] if kind in kinds else []

    return stored


def sequence_flags(wildcards, input):
    """The stored sequences as flags; a method that needs none has none."""
    flags = {"--teacher-samples": input.teacher_samples, "--teacher-beam": input.teacher_beam}
    return [part for flag, path in flags.items() if path for part in (flag, path)]


rule distill:
    input:
        script=script("distill"),
        start=start_model,
        teacher=teacher_model,
        train="results/{task}/prepare/train.parquet",
        dev="results/{task}/prepare/dev.parquet",
        teacher_samples=teacher_sequences("teacher_samples"),
        teacher_beam=teacher_sequences("teacher_beam"),
    output:
        model=directory("results/{task}/{method}/seed{seed}/model"),
        history="results/{task}/{method}/seed{seed}/train.jsonl",
    log:
        "logs/{task}/{method}/seed{seed}/distill.log",
    benchmark:
        "benchmarks/{task}/{method}/seed{seed}/distill.tsv"
    conda:
        "fdistill"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=24 * 60,
    params:
        terms=lambda wildcards: json.dumps(STUDY.method(wildcards.method)["terms"]),
        sequences=sequence_flags,
        run=lambda wildcards: run_flags(wildcards.seed),
        training=lambda wildcards: training_flags(wildcards, STUDY.method(wildcards.method)["training"]),
    shell:
        "python {input.script} --terms {params.terms:q} --start {input.start} --teacher {input.teacher}"
        " --train {input.train} --dev {input.dev} {params.sequences:q} --model {output.model}"
        " --history {output.history} --threads {threads} {params.run:q} {params.training:q} 2> {log}"
