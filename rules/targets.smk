# What Snakemake was asked for: a target that no rule makes is refused with the nearest one, and a task with mistakes, or
# without the target's size of the student, when a target needs it. This file is included last, because it reads the
# outputs of every rule.
import difflib
import itertools

from snakemake.cli import get_argument_parser
from snakemake.logging import logger

VALUES = {
    "task": STUDY.all_tasks,
    "initial_student": INITIAL_STUDENTS,
    "method": STUDENTS,
    "system": SYSTEMS,
    "trivial": TRIVIAL,
    "seed": [str(seed) for seed in STUDY.seeds],
    "sample_set": SAMPLE_SETS,
    "cached_set": CACHED_SETS,
    "label_kind": LABEL_KINDS,
    "package": list(PACKAGED_MODELS),
    "table": list(SHLEIFER_RUSH),
}


def target_files():
    """Return the files that Snakemake was asked for. While it reads a Snakefile, only its command line has them."""
    targets = get_argument_parser().parse_known_args(sys.argv[1:])[0].targets
    return [os.path.relpath(target) for target in targets if not workflow.is_rule(target)]


def known_targets(target):
    """Yield the rules, and the files that they make with the study's seeds and those in `target`."""
    yield from (known.name for known in workflow.rules)
    values = VALUES | {"seed": dict.fromkeys([*VALUES["seed"], *re.findall(r"seed(\d+)", target)])}
    for producer in workflow.rules:
        for output in producer.products():
            names = sorted(output.get_wildcard_names())
            for chosen in itertools.product(*(values.get(name, []) for name in names)):
                yield output.apply_wildcards(dict(zip(names, chosen)))


def check_target(target):
    """Raise WorkflowError if no rule makes the file `target`, or if its task has mistakes or lacks its size."""
    makers = [maker for maker in workflow.rules if maker.is_producer(target)]
    for wildcards in (maker.get_wildcards(target) for maker in makers):
        if "task" not in wildcards:
            continue
        names = [wildcards[key] for key in ("system", "method", "initial_student") if key in wildcards]
        try:
            STUDY.task(wildcards["task"], split_size("".join(names))[1])
        except UserError as error:
            raise WorkflowError(f"{target}: {error}") from None
    if not makers:
        close = difflib.get_close_matches(target, map(str, known_targets(target)), n=1)
        known = f"tasks: {', '.join(STUDY.all_tasks)}; systems: {', '.join(SYSTEMS)}"
        raise WorkflowError(f"{target}: no rule makes it; " + (f"did you mean '{close[0]}'?" if close else known))


if workflow.is_main_process:
    for task, mistakes in STUDY.task_mistakes.items():
        first, *more = mistakes.split("\n")[1:]
        also = f" (and {len(more)} more)" if more else ""
        logger.warning(f"Task '{task}' is not in this study, and cannot be used in it: {first.strip()}{also}")
    # A module is read before the other rules of the Snakefile that imports it, which may make any file.
    if not IS_MODULE and Path(sys.argv[0]).stem in ("snakemake", "__main__"):
        for target in target_files():
            check_target(target)
