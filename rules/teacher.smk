# The teacher: fine-tune it, and draw its sequences off line.


rule finetune_teacher:
    input:
        script=script("finetune_teacher"),
        train="results/{task}/prepare/train.parquet",
        dev="results/{task}/prepare/dev.parquet",
    output:
        model=directory("results/{task}/teacher/seed{seed}/model"),
        history="results/{task}/teacher/seed{seed}/train.jsonl",
    log:
        "logs/{task}/teacher/seed{seed}/finetune_teacher.log",
    benchmark:
        "benchmarks/{task}/teacher/seed{seed}/finetune_teacher.tsv"
    conda:
        "fdistill"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=24 * 60,
    params:
        model=lambda wildcards: teacher_flags(task_of(wildcards)["model"]),
        run=lambda wildcards: run_flags(wildcards.seed),
        training=lambda wildcards: training_flags(wildcards, "teacher"),
    shell:
        "python {input.script} --train {input.train} --dev {input.dev} --model {output.model}"
        " --history {output.history} {params.model:q} --threads {threads} {params.run:q} {params.training:q} 2> {log}"


def teacher_flags(model):
    """Where the teacher starts: the keys that belong to a model from scratch only matter there."""
    start = ["--family", model["family"], "--init", model["teacher"]["init"]]
    if model["teacher"]["init"] != "scratch":
        return start
    size = ["--vocab-size", str(model["teacher"]["vocab_size"])]
    return [*start, *size, "--model-config", json.dumps(model["teacher"]["config"])]


# What is drawn: the training split once for the methods' samples, once by beam search for sequence-level KD, and the
# test split for the risks.
SAMPLE_SETS = {
    "train.teacher_samples": lambda task: task["teacher_samples"],
    "train.teacher_beam": lambda task: task["teacher_beam"],
    "test.teacher_samples": lambda task: {
        **task["teacher_samples"],
        "mode": "ancestral",
        "top_k": None,
        "top_p": None,
        "num_beams": None,
        "length_penalty": None,
        "per_input": task["risk"]["teacher_samples"],
    },
}


rule sample_teacher:
    input:
        script=script("sample_teacher"),
        split="results/{task}/prepare/{split}.parquet",
        teacher=teacher_model,
    output:
        samples="results/{task}/sample_teacher/{split}.{sequences}.parquet",
    log:
        "logs/{task}/sample_teacher/{split}.{sequences}.log",
    benchmark:
        "benchmarks/{task}/sample_teacher/{split}.{sequences}.tsv"
    wildcard_constraints:
        sequences="teacher_samples|teacher_beam",
    conda:
        "fdistill"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=24 * 60,
    params:
        run=run_flags(STUDY.teacher_seed),
        text=text_flags,
        sampling=lambda wildcards: flags(
            "sampling", SAMPLE_SETS[f"{wildcards.split}.{wildcards.sequences}"](task_of(wildcards))
        ),
    shell:
        "python {input.script} --split {input.split} --teacher {input.teacher} --samples {output.samples}"
        " --threads {threads} {params.run:q} {params.text:q} {params.sampling:q} 2> {log}"
