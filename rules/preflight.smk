# Preflight: reports in seconds what would stop the study later. It runs on the machine that runs Snakemake, because jobs
# are submitted there.


localrules:
    preflight,


rule preflight:
    input:
        script=script("preflight"),
    log:
        "logs/preflight.log",
    retries: 0  # a problem that it finds does not pass by trying again
    conda:
        ENVIRONMENT
    params:
        files=[str(path) for path in workflow.configfiles],
        study=json.dumps(config),  # the merged files with `snakemake --config` over them
        jobs=lambda wildcards: json.dumps(slurm_jobs()),
    shell:
        "python {input.script:q} --configfile {params.files:q} --config {params.study:q} --jobs {params.jobs:q}"
        " 2> {log:q}"
