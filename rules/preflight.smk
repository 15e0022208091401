# Preflight: what would stop the study later, said in seconds. Runs where Snakemake does: that is where jobs are submitted.


localrules:
    preflight,


rule preflight:
    input:
        script=script("preflight"),
    log:
        "logs/preflight.log",
    retries: 0  # a profile's retries are for what may pass
    conda:
        ENVIRONMENT
    params:
        files=[str(path) for path in workflow.configfiles],
        study=json.dumps(config),  # the files merged, and `snakemake --config` over them
        jobs=lambda wildcards: json.dumps(slurm_jobs()),
    shell:
        "python {input.script:q} --configfile {params.files:q} --config {params.study:q} --jobs {params.jobs:q}"
        " 2> {log:q}"
