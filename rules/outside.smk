# A teacher from outside, which is files of outputs (`model.teacher.outputs`): stored teacher sequences, which serve
# methods with terms on `teacher_samples` and on `teacher_beam` alike.


rule import_outputs:
    input:
        script=script("import_outputs"),
        split="<results>/{task}/prepare/{split}.parquet",
        student="<results>/{task}/init_student/model",
        outputs=outputs_files,
    output:
        samples="<results>/{task}/import_outputs/{split}.parquet",
    log:
        "<logs>/{task}/import_outputs/{split}.log",
    wildcard_constraints:
        task=one_of(task for task, outputs in OUTPUTS.items() if not outputs["log_probs"]),
        split="train|unlabelled",
    priority: 3  # outputs that do not fit the split are refused before anything is trained
    conda:
        ENVIRONMENT
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        outputs=lambda wildcards: OUTPUTS[wildcards.task][outputs_split(wildcards)],
        contents=lambda wildcards: contents(outputs_files(wildcards)),
        size=lambda wildcards: size_flags(task_of(wildcards), outputs_split(wildcards)),
        seed=STUDY.teacher_seed,
        written=written_flags,
        text=text_flags,
    shell:
        "exec python {input.script:q} --split {input.split:q} --outputs {params.outputs:q} --student {input.student:q}"
        " {params.written:q} --task {wildcards.task:q} --seed {params.seed:q} {params.size:q} {params.text:q} 2> {log:q}"


# The same with what log-probabilities say of the teacher's distributions.
use rule import_outputs as import_log_probs with:
    output:
        samples="<results>/{task}/import_outputs/{split}.parquet",
        cache=directory("<results>/{task}/import_outputs/{split}.log_probs"),
    wildcard_constraints:
        task=one_of(task for task, outputs in OUTPUTS.items() if outputs["log_probs"]),
        split="train|unlabelled",


# The outputs for the test split are the teacher's row in tables too.
use rule import_outputs as import_test_outputs with:
    input:
        script=script("import_outputs"),
        split="<results>/{task}/prepare/test.parquet",
        student="<results>/{task}/init_student/model",
        outputs=outputs_files,
    output:
        samples="<results>/{task}/import_outputs/test.parquet",
        generations=f"<results>/{{task}}/teacher/seed{STUDY.teacher_seed}/generate.parquet",
        risk=f"<results>/{{task}}/teacher/seed{STUDY.teacher_seed}/risk.json",
        replicates=f"<results>/{{task}}/teacher/seed{STUDY.teacher_seed}/risk.replicates.parquet",
    log:
        "<logs>/{task}/import_outputs/test.log",
    wildcard_constraints:
        task=OUTSIDE,
