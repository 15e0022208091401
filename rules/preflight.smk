# Preflight: reports in seconds what would stop the study later.


rule preflight:
    input:
        script=script("preflight"),
    log:
        "<logs>/preflight.log",
    retries: 0  # a problem that it finds does not pass by trying again
    localrule: True  # only where jobs are submitted can SLURM be asked about them
    conda:
        ENVIRONMENT
    params:
        # By a function: in its value, Snakemake takes braces for no wildcards.
        files=lambda wildcards: [str(file) for file in CONFIG_FILES],
        section=lambda wildcards: list(SECTION),
        project=[] if PROJECT is None else ["--project", str(PROJECT)],
        study=lambda wildcards: settings_file(SETTINGS),  # the merged files with `snakemake --config` over them
        results=RESULTS,
        jobs=lambda wildcards: json.dumps(slurm_jobs()),
    shell:
        "exec python {input.script:q} --configfile {params.files:q} --section {params.section:q}"
        " {params.project:q} --config {params.study:q} --jobs {params.jobs:q}"
        " --results {params.results:q} 2> {log:q}"
