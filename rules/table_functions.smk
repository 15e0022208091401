# What the rules of tables, figures, human evaluation and the report read, by task and system.


# What tables and figures call each task without mistakes, and each system.
TEXTS = {
    "tasks": {
        task: {key: STUDY.task(task)[key] for key in ("title", "description", "stands_for")}
        for task in STUDY.all_tasks
        if task not in STUDY.task_mistakes
    },
    "systems": {"teacher": "Teacher", "most_frequent": "Most frequent target", "copy": "Copy of the source"}
    | {
        of_size("init_student", size): f"As initialised, {size}" if size else "As initialised"
        for size in STUDY.all_sizes
    }
    | {student: STUDY.method(student)["title"] for student in STUDENTS},
}
TEXTS_FILE = settings_file(TEXTS)


def placed(tasks, systems_of, name):
    """Return TASK/SYSTEM=FILE arguments: the script refuses a file that says another task or system."""
    return [f"{task}/{system}={RESULTS}/{task}/{system}/{name}" for task in tasks for system in systems_of(task)]


def online_metrics(wildcards):
    """Return the metrics of the methods of ONLINE."""
    if not ONLINE:
        raise WorkflowError("no method is both offline and online; add js and js_online to the study's methods")
    return files_in(placed(STUDY.tasks, online_systems, "metrics.json"))


def stages(wildcards):
    """Return the study's stages, without which there is no table of them."""
    if not STUDY.stages:
        raise WorkflowError("the study has no stages; name them in order, with the study's key `stages`")
    return STUDY.stages


def online_systems(task):
    """Return the methods of ONLINE, which are the same in every task."""
    return [*ONLINE, *ONLINE.values()]


def of_tasks(name):
    """Return TASK=FILE arguments for the file `name` of each task."""
    return [f"{task}={RESULTS}/{task}/{name}" for task in STUDY.tasks]


def bench_of(tasks, kind):
    """Return TASK=FILE arguments for what a benchmark has measured of each task."""
    return [f"{task}={RESULTS}/bench/{task}.{kind}.json" for task in tasks]


def files_in(arguments):
    """Return the files of KEY=FILE arguments."""
    return [argument.partition("=")[2] for argument in arguments]


# The outputs that examples are of: those of each system's first seed.
FIRST_OUTPUTS = [
    f"{task}/{system}={results(task, system, 'generate.parquet')[0]}"
    for task in STUDY.tasks
    for system in risk_systems(task)
]


# What each model costs in use, in a study whose report has it.
DEPLOYMENTS = placed(STUDY.tasks, model_systems, "deployment.json") if STUDY.deployment else []


def measured_for_claims():
    """Return what claims are decided from beside comparisons, TASK=FILE arguments by flag: all that the study measures."""
    return {
        "--online": bench_of(STUDY.tasks if ONLINE else [], "online"),
        "--layers": bench_of(TEACHER_TASKS if "layers" in study_tables() else [], "layers"),
        "--teacher": [f"{task}={RESULTS}/{task}/teacher/risk.json" for task in STUDY.tasks if teachers(task)],
        "--metrics": compared_across_tasks("metrics.json"),
    }


def unusable_flags():
    """Return the flag of the methods that the models of tasks do not allow, as those of a teacher from outside."""
    methods = {task: {name: STUDY.method(name, task) for name in STUDY.all_methods} for task in STUDY.tasks}
    found = [f"{task}={name}" for task, of_task in methods.items() for name in impossible(STUDY.task(task), of_task)]
    return ["--unusable", *found] if found else []


def compared_across_tasks(name):
    """Return TASK/SYSTEM=FILE arguments for the students of the tasks that claims compare with each other."""
    return placed(STUDY.compared_tasks, lambda task: ask(STUDY.students, task), name)


def curves_of(task, systems):
    """Return SYSTEM=FILE arguments for the training curves of `systems`, one per seed."""
    return [f"{system}={path}" for system in systems for path in results(task, system, "train.jsonl")]


# Those of all students, with their tasks.
STUDENT_LOGS = [f"{task}/{curve}" for task in STUDY.tasks for curve in curves_of(task, ask(STUDY.students, task))]


def study_options():
    """Return the file of the options that Snakemake was given for the study, which the report's commands repeat.

    Not texts in a command, for the reasons in `settings_file`.
    """
    files = [os.path.relpath(file) for file in workflow.overwrite_configfiles]
    values = list(COMMAND_LINE.config_args or ())
    given = [*(["--configfile", *files] if files else []), *(["--config", *values] if values else [])]
    return settings_file({"options": ["--cores", "1", *given]})


def row_flags(systems_of):
    """Return the flags of a table's rows, in order, by section: those of the first task, and what others add."""
    systems = dict.fromkeys(system for task in STUDY.tasks for system in systems_of(task))
    groups = {
        "--teacher": [s for s in systems if s == "teacher"],
        "--trivial": [s for s in systems if s in TRIVIAL],
        "--students": [s for s in systems if s in STUDENTS],
    }
    return [part for flag, group in groups.items() if group for part in (flag, *group)]


def rated_systems(wildcards):
    return task_of(wildcards)["human"]["systems"]


def rated_outputs(wildcards):
    """Return the outputs that annotators rate: those of each system's first seed, as in the table of examples."""
    return [results(wildcards.task, system, "generate.parquet")[0] for system in rated_systems(wildcards)]


def ratings_folder(wildcards):
    return f"{RESULTS}/{wildcards.task}/human/ratings"


def ratings(wildcards):
    """Return the annotators' files. Raises WorkflowError when there are none, or where one's name has a wildcard."""
    folder = Path(ratings_folder(wildcards))
    files = sorted(str(file) for file in folder.glob("*") if file.is_file() and not file.name.startswith("."))
    if not files:
        page = f"{RESULTS}/{wildcards.task}/human/annotate.html"
        raise WorkflowError(
            f"{folder}: no annotator's file; make {page}, send it to the annotators, and put the files that they export "
            "there (docs/human.md)"
        )
    if named := [file for file in files if re.search("[{}]", file)]:
        raise WorkflowError(f"{named[0]}: rename it without {{ and }}, which are wildcards of Snakemake")
    return files


def records_of_jobs():
    """Return the records that jobs have written below the folder of results, without the ledger's own."""
    return sorted(str(path) for path in Path(RESULTS).glob("*/**/*.provenance.json"))


def table_page(name):
    """Return the output for a table that the report shows."""
    return report(f"{RESULTS}/tables/{name}.html", caption=f"../workflow/report/{name}.rst", category="Tables")


def perplexities(task):
    """Return TASK/SYSTEM=FILE arguments for the perplexities of a task's models, one per seed."""
    initial = [of_size("init_student", size) for size in STUDY.sizes(task)]
    files = [(system, f"{RESULTS}/{task}/{system}/perplexity.json") for system in initial]
    files += [(system, file) for system in model_systems(task) for file in results(task, system, "perplexity.json")]
    return [f"{task}/{system}={file}" for system, file in files]
