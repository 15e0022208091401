# Preflight: reports in seconds what would stop the study later.


def settings_in_no_file():
    """Return, as JSON, what the files do not say: the values of `snakemake --config`, or of a module's `config:`."""
    text = json.dumps(not_in_files(CONFIG_FILES, SETTINGS, SECTION))
    if len(text) > 30_000:  # an argument of a command
        raise WorkflowError(f"the configuration has {len(text):,} bytes that are in no file; write them to one")
    return text


rule preflight:
    input:
        script=script("preflight"),
    log:
        "logs/preflight.log",
    retries: 0  # a problem that it finds does not pass by trying again
    localrule: True  # only where jobs are submitted can SLURM be asked about them
    conda:
        ENVIRONMENT
    params:
        files=[str(file) for file in CONFIG_FILES],
        section=SECTION,
        project=[] if PROJECT is None else ["--project", str(PROJECT)],
        study=lambda wildcards: settings_in_no_file(),
        jobs=lambda wildcards: json.dumps(slurm_jobs()),
    shell:
        "exec python {input.script:q} --configfile {params.files:q} --section {params.section:q}"
        " {params.project:q} --config {params.study:q} --jobs {params.jobs:q} 2> {log:q}"
