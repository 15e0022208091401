# What the rules of Shleifer & Rush's tables read, and which of them the study is about.
from fdistill.evaluation import shleifer_rush


def started():
    """Return the method whose sizes are compared as starts of the student."""
    return "sft" if "sft" in STUDY.methods else STUDY.methods[0]


def starts_of(task):
    """Return the students that differ in their start, the first in the default size."""
    return [of_size(started(), size) for size in ask(STUDY.sizes, task)]


def students_of(methods):
    """Return a function of a task: the teacher, and in all sizes those of `methods` that the study has."""

    def systems(task):
        sizes = ask(STUDY.sizes, task)
        return ["teacher", *(of_size(method, size) for size in sizes for method in methods if method in STUDY.methods)]

    return systems


def several_starts():
    """Return the tasks that have several sizes of the student."""
    return [task for task in TEACHER_TASKS if len(ask(STUDY.sizes, task)) > 1]


# Flags of a table's results, and the systems that they are of.
SHLEIFER_RUSH = {
    "table5": {"--metrics": students_of(shleifer_rush.METHODS), "--logs": students_of(shleifer_rush.METHODS)},
    "table6": {"--metrics": risk_systems, "--deployments": risk_systems},
    "table8": {"--logs": starts_of},
    "table10": {"--metrics": students_of(shleifer_rush.MIXTURES)},
}
NAMES = {"--metrics": "metrics.json", "--deployments": "deployment.json"}


def shleifer_rush_files(wildcards):
    """Return a table's files by flag, as KEY=FILE: of the results, the teachers and the untrained students."""
    check_shleifer_rush(wildcards.table)
    files = {}
    for flag, systems_of in SHLEIFER_RUSH[wildcards.table].items():
        if flag == "--logs":
            students = {task: [s for s in systems_of(task) if s != "teacher"] for task in TEACHER_TASKS}
            files[flag] = [f"{task}/{curve}" for task in TEACHER_TASKS for curve in curves_of(task, students[task])]
        else:
            files[flag] = placed(TEACHER_TASKS, systems_of, NAMES[flag])
    files["--teachers"] = [f"{task}={RESULTS}/{task}/teacher/seed{STUDY.teacher_seed}/model" for task in TEACHER_TASKS]
    return files | {"--starts": placed(TEACHER_TASKS, untrained_of, "model")}


def untrained_of(task):
    return [of_size("init_student", size) for size in ask(STUDY.sizes, task)]


def check_shleifer_rush(table):
    """Raise WorkflowError for a table of which the study has nothing."""
    if not TEACHER_TASKS:
        raise WorkflowError(
            f"shleifer_rush/{table}: the study has no task whose teacher is a model; add one to its tasks"
        )
    needed = {"table5": shleifer_rush.METHODS, "table10": shleifer_rush.MIXTURES}.get(table, STUDY.methods)
    if not {*needed} & {*STUDY.methods}:
        raise WorkflowError(
            f"shleifer_rush/{table}: the study has none of {', '.join(needed)}; add some of them to its methods"
        )
    if table == "table8" and not several_starts():
        raise WorkflowError(
            "shleifer_rush/table8: no task of the study has several starts of the student; add them to its "
            "model.student_sizes (docs/methods.md, how a student starts)"
        )


def study_tables():
    """Yield the tables that the study is about, which are part of `all`."""
    methods = {*STUDY.methods} if TEACHER_TASKS else set()
    if {*shleifer_rush.METHODS} <= methods:
        yield from ("table5", *(["table6", "layers"] if STUDY.deployment else []))
    if "sft" in methods and several_starts():
        yield "table8"
    if {"sft", "pl", "orig_pl"} <= methods:
        yield "table10"
