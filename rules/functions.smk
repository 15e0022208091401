# Functions of wildcards that the rules take their inputs and arguments from, in the order of the DAG.


def script(name):
    """The script of a rule. Rules list it among their inputs, so that editing it re-runs them."""
    return str(ROOT / "workflow" / "scripts" / f"{name}.py")


def task_of(wildcards):
    return STUDY.task(wildcards.task)


def method_of(wildcards):
    """The method as its task has it."""
    return STUDY.method(wildcards.method, wildcards.task)


def seeds_of(system):
    """Students are trained once per seed; the teacher is trained once, and the trivial systems have no chance in them."""
    return STUDY.seeds if system in STUDY.all_methods else [STUDY.teacher_seed]


def results(task, system, name):
    """One file per seed of a system."""
    return [f"results/{task}/{system}/seed{seed}/{name}" for seed in seeds_of(system)]


def title_of(system):
    titles = {"teacher": "Teacher", "most_frequent": "Most frequent target", "copy": "Copy of the source"}
    return titles.get(system) or STUDY.method(system)["title"]


def teacher_model(wildcards):
    return f"results/{wildcards.task}/teacher/seed{STUDY.teacher_seed}/model"


def run_flags(seed):
    return ["--device", STUDY.device, "--seed", str(seed)]


def launch(wildcards, resources):
    """What runs a script whose work can be shared: Python, or torchrun with one process for each of the job's GPUs.

    These are `gpu`, on `nodes` nodes together.

    As it takes `resources`, Snakemake does not count it as a parameter: another number of GPUs gives the same result,
    and re-runs nothing.
    """
    gpus, nodes = resources.get("gpu", 1), resources.get("nodes", 1)
    if nodes > 1 and not resources.get("mpi"):  # started within a step of the plugin's, its own would wait for ever
        raise WorkflowError(f"nodes: {nodes} nodes need SLURM; set gpus and nodes at the top of {PROFILE}")
    if gpus % nodes:
        raise WorkflowError(f"gpu: {gpus} GPUs cannot be shared out evenly among {nodes} nodes")
    if gpus <= 1:
        return ["python"]
    options = [
        f"--nproc-per-node={gpus // nodes}",
        "--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",  # handed on to the processes
        "--shutdown-timeout=200",  # which then write their state: seconds within those that the SLURM profile leaves
        "--",  # torchrun would take a script's flag for the beginning of one of its own
    ]
    if nodes == 1:
        return ["torchrun", "--standalone", *options]
    # Where one node's workers have ended, the others' may wait for them: they are given time to keep their work.
    step = [f"--nodes={nodes}", "--ntasks-per-node=1", f"--gpus-per-node={gpus // nodes}", "--wait=200"]
    return ["srun", *step, "sh", "-c", ON_EACH_NODE, "torchrun", *options]


# The words after it are its arguments. Nodes meet at the first one, at a port of the job's own.
ON_EACH_NODE = (
    'exec torchrun --nnodes="$SLURM_NNODES" --node-rank="$SLURM_NODEID" --master-addr="$SLURM_LAUNCH_NODE_IPADDR"'
    ' --master-port="$((20000 + SLURM_JOB_ID % 10000))" "$@"'
)


def shard_flag(wildcards):
    """For a teacher that one GPU cannot hold."""
    return ["--shard-teacher"] if task_of(wildcards)["model"]["teacher"]["shard"] else []


def text_flags(wildcards):
    return flags("text", task_of(wildcards)["text"])


def training_flags(wildcards, stage):
    """Flags of a training script: lengths, training settings, selection on the development split."""
    task, selection = task_of(wildcards), STUDY.selection(wildcards.task, stage)
    selected = selection["metric"]
    options = {selected: task["metric_options"][selected]} if selected in task["metric_options"] else {}
    return [
        *text_flags(wildcards),
        *(flag for flag in flags("training", task["training"][stage]) if not flag.startswith(SAFEGUARD_FLAGS)),
        *flags("selection", selection, prefix="selection-"),
        "--metric-options",
        json.dumps(options),
    ]


# They change nothing of what a finished run has made, and nothing runs again for them: Snakemake does not compare
# parameters that are made from outputs.
SAFEGUARD_FLAGS = tuple(f"--{key.replace('_', '-')}=" for key in SAFEGUARDS)


def safeguard_flags(wildcards, output, stage):
    """Flags of a training script for an interrupted run. Checkpoints are no output: those of failed jobs are deleted."""
    given = flags("training", task_of(wildcards)["training"][stage])
    folder = Path("checkpoints", *Path(output.model).parts[1:-1], "train")
    return ["--checkpoints", str(folder), *(flag for flag in given if flag.startswith(SAFEGUARD_FLAGS))]


def teacher_flags(model):
    """Where the teacher starts: the keys that belong to a model from scratch only matter there."""
    start = ["--family", model["family"], "--init", model["teacher"]["init"]]
    if model["teacher"]["init"] != "scratch":
        codes = {side: model["teacher"][f"{side}_language"] for side in ("source", "target")}
        pickle = ["--allow-pickle"] if model["teacher"]["allow_pickle"] else []
        return [*start, *pickle, *(f"--{side}-language={code}" for side, code in codes.items() if code)]
    size = ["--vocab-size", str(model["teacher"]["vocab_size"])]
    return [*start, *size, "--model-config", json.dumps(model["teacher"]["config"])]


def memory_flags(settings):
    """What batches are made for, where their size is left to memory; elsewhere it changes nothing."""
    given = settings["batch_size"] is not None or STUDY.gpu_memory is None
    return [] if given else ["--gpu-memory", str(STUDY.gpu_memory)]


def decoding_flags(wildcards):
    decoding = task_of(wildcards)["decoding"]
    return [*flags("decoding", decoding), *memory_flags(decoding)]


def risk_flags(wildcards):
    risk = task_of(wildcards)["risk"]
    return [*flags("risk", {key: risk[key] for key in ("batch_size", "engine")}), *memory_flags(risk)]


def sampling_flags(wildcards):
    """Flags of sample_teacher for one of SAMPLE_SETS."""
    task = task_of(wildcards)
    split, kind = wildcards.sample_set.split(".")
    if split == "test":
        risk = task["risk"]
        size = {key: risk[key] for key in ("batch_size", "engine")}
        return [*flags("offline_sampling", {"per_input": risk["teacher_samples"], **size}), *memory_flags(risk)]
    used = task["training"]["distill"]["max_examples"]
    size = ["--max-examples", str(used)] if used else []
    return [*flags("offline_sampling", task[kind]), *size, *memory_flags(task[kind])]


def start_model(wildcards):
    """The model that a method starts from."""
    if method_of(wildcards)["start"] == "init_student":
        return f"results/{wildcards.task}/init_student/model"
    return f"results/{wildcards.task}/predistill/seed{wildcards.seed}/model"


def teacher_sequences(kind):
    """An input function: the stored teacher sequences of one kind, for the methods that learn from them."""

    def stored(wildcards):
        kinds = [term["sequences"] for term in method_of(wildcards)["terms"]]
        return [f"results/{wildcards.task}/sample_teacher/train.{kind}.parquet"] if kind in kinds else []

    return stored


def teacher_cache(wildcards):
    """The stored distributions of the teacher, if its task has them and the method reads them."""
    terms = [term for term in method_of(wildcards)["terms"] if term["sequences"] == "teacher_samples"]
    used = task_of(wildcards)["teacher_cache"] != "none" and any(term["loss"] != "nll" for term in terms)
    return [f"results/{wildcards.task}/cache_teacher/train.teacher_samples"] if used else []


def top_k_flags(wildcards):
    """How many tokens `teacher_cache: topk` keeps, where the task says so."""
    kept = task_of(wildcards)["teacher_cache_tokens"]
    return [] if kept is None else ["--top-k", str(kept)]


def cache_flags(wildcards):
    """Flags of cache_teacher."""
    task = task_of(wildcards)
    training = task["training"]["distill"]
    examples = ["--max-examples", str(training["max_examples"])] if training["max_examples"] else []
    return ["--kind", task["teacher_cache"], *top_k_flags(wildcards), "--precision", training["precision"], *examples]


def sequence_flags(wildcards, input):
    """The stored sequences as flags; a method that needs none has none."""
    stored = {
        "--teacher-samples": input.teacher_samples,
        "--teacher-beam": input.teacher_beam,
        "--teacher-cache": input.teacher_cache,
    }
    return [part for flag, path in stored.items() if path for part in (flag, path)]


def student_sampling_flags(wildcards):
    """How the student samples, as flags; a method without its samples has none."""
    method = method_of(wildcards)
    if any(term["sequences"] == "student_samples" for term in method["terms"]):
        return flags("sampling", method["student_samples"], prefix="student-samples-")
    return []


def pairs(keys, value):
    """KEY=VALUE arguments."""
    return [f"{key}={value(key)}" for key in keys]


def task_titles(wildcards):
    return pairs(STUDY.tasks, lambda task: STUDY.task(task)["title"])


def row_flags(systems):
    """The rows of a table, in order, by section."""
    groups = {
        "--teacher": [s for s in systems if s == "teacher"],
        "--trivial": [s for s in systems if s in TRIVIAL],
        "--students": [s for s in systems if s in STUDY.all_methods],
    }
    return [part for flag, group in groups.items() if group for part in (flag, *pairs(group, title_of))]


def table_page(name):
    """A table as the report shows it."""
    return report(f"results/tables/{name}.html", caption=f"../workflow/report/{name}.rst", category="Tables")


def outputs_of(task, system, name):
    """A file of a system's first seed, which is the one whose outputs are shown."""
    return results(task, system, name)[0]
