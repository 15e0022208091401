# A model's folder for use outside the workflow. The training rules cannot write it: the decoding settings in it would be
# their parameters, and another number of beams would train every model again, or leave a folder that says the old one.
# Not part of `all`, because it is a copy of the weights: it is made of the models that are asked for.


rule export:
    input:
        script=script("export"),
        model="<results>/{task}/{system}/seed{seed}/model",
        teacher=teacher_model,
        data="<results>/{task}/prepare/manifest.json",
        score="<results>/{task}/{system}/seed{seed}/score.json",
        replicates="<results>/{task}/{system}/seed{seed}/score.replicates.parquet",
    output:
        folder=directory("<results>/{task}/{system}/seed{seed}/export"),
    log:
        "<logs>/{task}/{system}/seed{seed}/export.log",
    wildcard_constraints:
        system="|".join(MODELS),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=8000,  # the weights three times: the model, its conversion, and the check of it
        runtime=30,
    params:
        teacher=teacher_flags_of,
        text=text_flags,
        decoding=lambda wildcards: flags("decoding", task_of(wildcards)["decoding"]),
    shell:
        "exec python {input.script:q} --model {input.model:q} {params.teacher:q} --data {input.data:q}"
        " --score {input.score:q} --folder {output.folder:q} --task {wildcards.task:q} --method {wildcards.system:q}"
        " --seed {wildcards.seed:q} {params.text:q} {params.decoding:q} 2> {log:q}"
