# Functions of wildcards for the inputs and parameters of jobs with data and models, in the order of the DAG.


def script(name):
    """Return the path of a script. Rules list it among their inputs, so that editing it re-runs them."""
    return str(ROOT / "workflow" / "scripts" / f"{name}.py")


def task_of(wildcards, size=None):
    """Return the task's settings, with the layers of a size of the student."""
    return ask(STUDY.task, wildcards.task, size)


def method_of(wildcards):
    """Return the method's entry with its task's changes, for the size of the student in the method's name."""
    return ask(STUDY.method, wildcards.method, wildcards.task)


def seeds_of(system):
    """Return a system's seeds. The teacher is trained with one seed; the trivial systems are deterministic."""
    return STUDY.seeds if system in STUDENTS else [STUDY.teacher_seed]


def results(task, system, name):
    """Return the paths of file `name` of a system, one per seed."""
    return [f"{RESULTS}/{task}/{system}/seed{seed}/{name}" for seed in seeds_of(system)]


def first_seed(wildcards, name):
    """Return the path of file `name` of the first seed of a system of a task."""
    return results(wildcards.task, wildcards.system, name)[0]


def source_of(wildcards, labelled_only=False):
    """Return a task's section `source`; with `labelled_only`, without its file of unlabelled inputs."""
    source = task_of(wildcards)["source"]
    return {**source, "path": without(source["path"], ["unlabelled"])} if labelled_only else source


def source_params(labelled_only=False):
    """Return the parameters of a rule that prepares data; its own files are no parameters that could change."""

    def own_files(wildcards, input, output):
        labelled = ["--labelled", *input.labelled] if "labelled" in input.keys() else []
        return [*labelled, *(part for name, file in output.items() for part in (f"--{name}", file))]

    return {
        "kind": lambda wildcards: task_of(wildcards)["source"]["kind"],
        "options": lambda wildcards: json.dumps(without(source_of(wildcards, labelled_only), ["kind"])),
        "contents": lambda wildcards: contents(input_files(source_of(wildcards, labelled_only))),
        "own_files": own_files,
    }


def teacher_model(wildcards):
    """Return the folder of a task's teacher; none of a teacher from outside."""
    if wildcards.task in OUTPUTS:
        return []
    return f"{RESULTS}/{wildcards.task}/teacher/seed{STUDY.teacher_seed}/model"


def fetched(name):
    """Return the file that rule fetch_model makes of a packaged model; any other model's name as it is."""
    return f"{RESULTS}/fetch_model/{name.removeprefix(PACKAGE)}{location.GGUF}" if name.startswith(PACKAGE) else name


def tokenizer_model(wildcards):
    """Return the folder of the teacher whose tokenizer a whole student gets; none if it has one of its own."""
    return teacher_model(wildcards) if shares_tokenizer(task_of(wildcards)) else []


def init_files_of(task, owner="teacher"):
    """Return the files that a task's teacher or whole student is made from, checkpoint and adapter, on this machine."""
    start = task["model"][owner]
    if start["init"] == SCRATCH:
        return []
    adapter = start.get("adapter")
    return location.input_files(fetched(start["init"])) + (location.adapter_inputs(adapter) if adapter else [])


def init_files(wildcards):
    return init_files_of(task_of(wildcards))


def student_init_files(wildcards):
    return init_files_of(task_of(wildcards), "student")


def encoders(wildcards, metrics):
    """Return the models of the encoders of a task's `metrics` (default: all), as its options name them."""
    options = task_of(wildcards)["metric_options"]
    metrics = task_of(wildcards)["metrics"] if metrics is None else metrics
    models = [options[metric]["model"] for metric in metrics if options.get(metric, {}).get("model")]
    return list(dict.fromkeys(models))


def encoder_files(wildcards, metrics=None):
    """Return the files of the encoders of a task's `metrics` that lie in folders on this machine.

    A folder that does not exist has none: its metric is n/a in the tables, until there is one.
    """
    models = [model for model in encoders(wildcards, metrics) if not model.startswith(PACKAGE)]
    return [file for model in models for file in location.input_files(model) if Path(file).exists()]


def encoder_packages(wildcards, metrics=None):
    """Return the releases of the packages that contain the encoders of a task's `metrics`.

    They are parameters, in the place of input files: another release re-runs the job. The time of installed
    files says nothing, as it is that of the installation.
    """
    models = encoders(wildcards, metrics)
    return [package_release(model.removeprefix(PACKAGE)) for model in models if model.startswith(PACKAGE)]


def selection_metrics(wildcards, stage):
    """Return the metric by which a training stage selects its weights."""
    return [STUDY.selection(wildcards.task, stage)["metric"]]


def contents(files):
    """Return the hashes of the user's own files, as a parameter: Snakemake itself goes by modification times.

    Files that another job makes are left out: their hashes would be of what lay there before the run.
    """
    own = [file for file in files if not any(rule.is_producer(file) for rule in workflow.rules)]
    return content_hashes(own, Path(".snakemake/fdistill/contents.json"))


def run_flags(seed):
    return ["--device", STUDY.device, "--seed", str(seed)]


def launch(wildcards, resources):
    """Return the command that runs a script on the job's GPUs: Python, or torchrun with one rank per GPU.

    The job has resource `gpu` GPUs in total, on `nodes` nodes. Because the function takes `resources`, Snakemake does
    not compare its value as a parameter: another number of GPUs re-runs nothing, as results do not depend on it.
    """
    gpus, nodes = resources.get("gpu", 1), resources.get("nodes", 1)
    if nodes > 1 and not resources.get("mpi"):  # in the executor's own srun step, srun would hang
        raise WorkflowError(f"nodes: {nodes} nodes need SLURM; set gpus and nodes at the top of {PROFILE}")
    if gpus % nodes:
        raise WorkflowError(f"gpu: {gpus} GPUs cannot be divided evenly among {nodes} nodes; set a multiple of {nodes}")
    if gpus <= 1:
        return ["python"]
    options = [
        f"--nproc-per-node={gpus // nodes}",
        "--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",  # torchrun forwards them to the ranks
        "--shutdown-timeout=200",  # seconds for the ranks to write a checkpoint; fewer than the SLURM profile allows
        "--",  # or torchrun would read a script's flag as an abbreviation of its own
    ]
    if nodes == 1:
        return ["torchrun", "--standalone", *options]
    # --wait: when the ranks of one node have exited, those of the others get this many seconds to write a checkpoint.
    step = [f"--nodes={nodes}", "--ntasks-per-node=1", f"--gpus-per-node={gpus // nodes}", "--wait=200"]
    return ["srun", *step, "sh", "-c", ON_EACH_NODE, "torchrun", *options]


# The words after it become its arguments. The nodes connect to the first node, at a port that depends on the job.
ON_EACH_NODE = (
    'exec torchrun --nnodes="$SLURM_NNODES" --node-rank="$SLURM_NODEID" --master-addr="$SLURM_LAUNCH_NODE_IPADDR"'
    ' --master-port="$((20000 + SLURM_JOB_ID % 10000))" "$@"'
)


def shard_flag(wildcards):
    """Return the flag for a task whose teacher is FSDP-sharded."""
    return ["--shard-teacher"] if task_of(wildcards)["model"]["teacher"]["shard"] else []


def text_flags(wildcards):
    return flags("text", task_of(wildcards)["text"])


def training_flags(wildcards, stage):
    """Return the flags of a training script that it reads: lengths, training, selection on the development split."""
    task, selection = task_of(wildcards), STUDY.selection(wildcards.task, stage)
    metric = selection["metric"]
    options = {metric: task["metric_options"][metric]} if metric in task["metric_options"] else {}
    unread = unread_settings(wildcards)
    return [
        *text_flags(wildcards),
        *stage_flags(wildcards, stage, unread),
        *flags("selection", without(selection, unread), prefix="selection-"),
        "--metric-options",
        json.dumps(options),
    ]


def stage_flags(wildcards, stage, unread):
    """Return the flags of one stage of a task's section `training`, without the keys in `unread`."""
    return flags("training", without(ask(STUDY.training, wildcards.task, stage), unread))


def lora_flags(wildcards):
    """Return the flag of a teacher that is trained by LoRA."""
    lora = task_of(wildcards)["training"]["teacher"]["lora"]
    return [] if lora is None else ["--lora", json.dumps(lora)]


def without(settings, keys):
    """Return the settings that are none of `keys`."""
    return {key: value for key, value in settings.items() if key not in keys}


def unread_settings(wildcards):
    """Return the keys of a stage and its selection that a training job does not read: changing them re-runs nothing.

    Only methods learn from unlabelled inputs, or agree with a teacher. Safeguards do not influence the result of a
    finished run, see `safeguard_flags`.
    """
    is_method = "method" in wildcards.keys()
    unlabelled = [] if is_method and unlabelled_of(wildcards) else ["max_unlabelled"]
    agreement = [] if is_method and teacher_model(wildcards) else ["agreement_top_k"]
    return [*SAFEGUARDS, *unlabelled, *agreement]


def step_flags(wildcards):
    """Return the training flags of a job that takes single steps of stage `distill` on the training split."""
    return stage_flags(wildcards, "distill", [*SAFEGUARDS, "max_unlabelled"])


def safeguard_flags(wildcards, output, stage):
    """Return the flags of a training script that keep an interrupted run's progress, and that send its curve.

    Changing them re-runs nothing, because Snakemake does not compare parameters that are computed from outputs.
    Checkpoints are not an output of the rule, because Snakemake deletes the outputs of failed jobs.
    """
    training = flags("training", ask(STUDY.training, wildcards.task, stage), keys=SAFEGUARDS)
    curve = ["--logging", json.dumps(STUDY.logging), "--curves", beside(CURVES, output.model)]
    return ["--checkpoints", unfinished(output.model, "train"), *training, *(curve if sinks(STUDY.logging) else [])]


def unfinished(output, name):
    """Return where a job keeps unfinished work; a function of outputs, for the reason given above."""
    return f"{beside(CHECKPOINTS, output)}/{name}"


def beside(folder, output):
    """Return the place in `folder` that an output's folder has in the results."""
    return str(Path(folder, Path(output).parent.relative_to(RESULTS)))


def whole_model_flags(task, owner):
    """Return the flags of a teacher or a whole student: a checkpoint, or random weights; `owner` has its settings."""
    settings = task["model"][owner]
    family = student_family(task) if owner == "student" else task["model"]["family"]
    start = ["--family", family, "--init", fetched(settings["init"])]
    if settings["init"] != SCRATCH:
        adapter = [f"--adapter={settings['adapter']}"] if settings.get("adapter") else []
        return [*start, *adapter, *checkpoint_flags(settings)]
    is_trained = owner == "teacher" or not shares_tokenizer(task)  # the tokenizer
    size = ["--vocab-size", str(settings["vocab_size"])] if is_trained else []
    return [*start, *size, "--model-config", json.dumps(settings["config"])]


def checkpoint_flags(settings):
    """Return the flags of how a checkpoint is read: a first model's, or another teacher's."""
    codes = {side: settings.get(f"{side}_language") for side in ("source", "target")}
    pickle = ["--allow-pickle"] if settings.get("allow_pickle") else []
    return [*pickle, *(f"--{side}-language={code}" for side, code in codes.items() if code)]


def memory_flags(settings):
    """Return the flag of the GPU's memory, if batches are made to fit it."""
    is_fixed = settings["batch_size"] is not None or STUDY.gpu_memory is None
    return [] if is_fixed else ["--gpu-memory", str(STUDY.gpu_memory)]


def generate_flags(wildcards):
    """Return the flags of generate for outputs and for risks."""
    task = task_of(wildcards)
    decoding, risk = task["decoding"], task["risk"]
    of_risk = flags("risk", risk, prefix="risk-", keys=("batch_size", "engine"))
    return [*flags("decoding", decoding), *of_risk, *(memory_flags(decoding) or memory_flags(risk))]


def sampling_flags(wildcards):
    """Return the flags of sample_teacher for one of SAMPLE_SETS."""
    task = task_of(wildcards)
    split, kind = wildcards.sample_set.split(".")
    if split == "test":
        risk = task["risk"]
        size = {key: risk[key] for key in ("batch_size", "engine")}
        return [*flags("offline_sampling", {"per_input": risk["teacher_samples"], **size}), *memory_flags(risk)]
    return [*flags("offline_sampling", task[kind]), *size_flags(task, split), *memory_flags(task[kind])]


def size_flags(task, split="train"):
    """Return the flag of the number of a split's examples that have the teacher's sequences, if the task sets it."""
    distill = task["training"]["distill"]
    max_examples = {"train": distill["max_examples"], "unlabelled": distill["max_unlabelled"]}.get(split)
    return ["--max-examples", str(max_examples)] if max_examples else []


def student_of(wildcards):
    """Return the layers per stack of an untrained student."""
    return task_of(wildcards, split_size(wildcards.initial_student)[1])["model"]["student"]


def pretrained_files(wildcards):
    """Return the files of the checkpoint before fine-tuning, if the student copies its layers and they lie here."""
    is_read = PRETRAINED in origins(student_of(wildcards))
    return location.input_files(pretrained_of(task_of(wildcards))) if is_read else []


def pretrained_of(task):
    """Return the checkpoint before fine-tuning: that of `init` if this one is fine-tuned already, else `init`."""
    teacher = task["model"]["teacher"]
    return fetched(teacher["pretrained"] or teacher["init"])


def other_teachers(wildcards):
    """Return the teacher of each other task whose layers the student copies, by task."""
    tasks = [origin for origin in origins(student_of(wildcards)) if origin != PRETRAINED]
    return {task: f"{RESULTS}/{task}/teacher/seed{STUDY.teacher_seed}/model" for task in tasks}


def other_models(wildcards):
    return [*other_teachers(wildcards).values(), *pretrained_files(wildcards)]


def other_model_flags(wildcards):
    """Return the flags of a student whose layers are not all copied from its teacher."""
    student, task = student_of(wildcards), task_of(wildcards)
    given = [f"--other-teachers={task}={model}" for task, model in other_teachers(wildcards).items()]
    if PRETRAINED in origins(student):
        given += ["--pretrained", pretrained_of(task), *checkpoint_flags(task["model"]["teacher"])]
    if any(Start.read(start).choose == "random" for start in student.values()):
        given += ["--seed", str(STUDY.teacher_seed)]
    return given


def start_model(wildcards):
    """Return the folder of the model that a method starts from."""
    start = method_of(wildcards)["start"]
    if start in INITIAL_STUDENTS:
        return f"{RESULTS}/{wildcards.task}/{start}/model"
    return f"{RESULTS}/{wildcards.task}/{start}/seed{wildcards.seed}/model"


def teacher_sequences(kind, split="train"):
    """Return an input function: the teacher's offline sequences of one kind, for methods that learn from them."""

    def stored(wildcards):
        kinds = [term["sequences"] for term in method_of(wildcards)["terms"]]
        is_read = kind in kinds and (split == "train" or unlabelled_of(wildcards))
        return [stored_sequences(wildcards.task, kind, split)] if is_read else []

    return stored


def stored_sequences(task, kind, split="train"):
    """Return the file of a kind of offline sequences of the training split, or of the unlabelled inputs."""
    if task in OUTPUTS:
        return f"{RESULTS}/{task}/import_outputs/{split}.parquet"
    maker = "encode_labels" if kind == OTHER_TEACHER_BEAM else "sample_teacher"
    return f"{RESULTS}/{task}/{maker}/{split}.{kind}.parquet"


def unlabelled_inputs(task):
    """Return the file of a task's unlabelled inputs, if it has any."""
    return [f"{RESULTS}/{task}/prepare/unlabelled.parquet"] if has_unlabelled(ask(STUDY.task, task)) else []


def unlabelled_of(wildcards):
    """Return the file of the task's unlabelled inputs, if the method learns from them."""
    return unlabelled_inputs(wildcards.task) if learns_from_unlabelled(method_of(wildcards)) else []


def other_teacher_files(wildcards):
    """Return the files of a task's other teacher that lie on this machine: its checkpoint, or its labels."""
    other = other_teacher(wildcards)
    if other["labels"] is not None:
        return list(map(str, label_files(other["labels"])))
    return location.input_files(fetched(other["init"]))


def other_teacher(wildcards):
    """Return the section of a task's other teacher, which a target of its labels needs."""
    other = task_of(wildcards)["other_teacher"]
    if other is None:
        raise WorkflowError(f"task '{wildcards.task}': other_teacher is null; set its init or its labels")
    return other


def other_teacher_flags(wildcards):
    """Return the flags of label."""
    task, other = task_of(wildcards), other_teacher(wildcards)
    sampling = task["other_teacher_beam"]
    return [
        *(["--init", fetched(other["init"])] if other["labels"] is None else ["--file", other["labels"]]),
        *checkpoint_flags(other),
        *flags("text", text_of(task)),
        *flags("offline_sampling", sampling),
        *size_flags(task),
        *memory_flags(sampling),
    ]


def test_samples(wildcards):
    """Return the teacher's samples of the test split; none of a teacher from outside without outputs for it."""
    if wildcards.task in OUTPUTS:
        return [f"{RESULTS}/{wildcards.task}/import_outputs/test.parquet"] if teachers(wildcards.task) else []
    return f"{RESULTS}/{wildcards.task}/sample_teacher/test.teacher_samples.parquet"


def outputs_split(wildcards):
    """Return the split whose outputs a job imports."""
    return wildcards.get("split", "test")


def outputs_files(wildcards):
    """Return the files of a teacher's outputs for a split."""
    return list(map(str, output_files(OUTPUTS[wildcards.task][outputs_split(wildcards)])))


def written_flags(wildcards, output):
    """Return the flags of what import_outputs writes."""
    names = [name for name in ("samples", "cache", "generations", "risk") if name in output.keys()]
    return [part for name in names for part in (f"--{name}", output[name])]


def teacher_flags_of(wildcards, input):
    """Return the flags of the teacher and of its samples of the test split, as far as they are inputs of a job."""
    given = {"--teacher": input.get("teacher"), "--teacher-samples": input.get("test_samples")}
    return [part for flag, path in given.items() if path for part in (flag, str(path))]


def teacher_cache(wildcards, split="train"):
    """Return the cache of the teacher's distributions, if the task has one and the method reads it."""
    if split == "unlabelled" and not unlabelled_of(wildcards):
        return []
    is_outside = wildcards.task in OUTPUTS
    cached = TEACHER_SEQUENCES if is_outside else [TEACHER_SAMPLES]
    is_read = any(term["sequences"] in cached and term["loss"] != NLL for term in method_of(wildcards)["terms"])
    if not is_read or (not is_outside and task_of(wildcards)["teacher_cache"] == NO_CACHE):
        return []
    name = f"import_outputs/{split}.log_probs" if is_outside else f"cache_teacher/{split}.{TEACHER_SAMPLES}"
    return [f"{RESULTS}/{wildcards.task}/{name}"]


def top_k_flags(wildcards):
    """Return the flag of the number of tokens that `teacher_cache: topk` stores, if the task sets it."""
    tokens = task_of(wildcards)["teacher_cache_tokens"]
    return [] if tokens is None else ["--top-k", str(tokens)]


def cache_flags(wildcards):
    """Return the flags of cache_teacher."""
    task = task_of(wildcards)
    precision, size = task["training"]["distill"]["precision"], size_flags(task, wildcards.cached_set.split(".")[0])
    return ["--kind", task["teacher_cache"], *top_k_flags(wildcards), "--precision", precision, *size]


def sequence_flags(wildcards, input):
    """Return the flags of the teacher's offline sequences and cache that are inputs of the method."""
    stored = {
        "--teacher-samples": input.teacher_samples,
        "--teacher-beam": input.teacher_beam,
        "--other-teacher-beam": input.other_teacher_beam,
        "--teacher-cache": input.teacher_cache,
        "--unlabelled": input.unlabelled,
        "--unlabelled-teacher-samples": input.unlabelled_teacher_samples,
        "--unlabelled-teacher-beam": input.unlabelled_teacher_beam,
        "--unlabelled-teacher-cache": input.unlabelled_teacher_cache,
    }
    return [part for flag, path in stored.items() if path for part in (flag, path)]


def stream_flags(wildcards):
    """Return the flags of which sequences an epoch of the method has, besides one stored sequence of every input."""
    method = method_of(wildcards)
    original = ["--include-original"] if method["include_original"] else []
    return original + ([] if method["per_input"] is None else ["--per-input", str(method["per_input"])])


def student_sampling_flags(wildcards):
    """Return the flags of on-policy sampling from the student, for a method that learns from its samples."""
    method = method_of(wildcards)
    if any(term["sequences"] in FROM_STUDENT for term in method["terms"]):
        return flags("sampling", method["student_samples"], prefix="student-samples-")
    return []


def objective_flags(wildcards):
    """Return the flags of a method's objective beside its terms, of those that it uses."""
    method = method_of(wildcards)
    schedule = ["--schedule", json.dumps(method["schedule"])] if method["schedule"] else []
    is_replayed = any(term["sequences"] == REPLAYED_SAMPLES for term in method["terms"])
    replay = [f"--replay-size={method['replay_size']}"] if is_replayed else []
    return [f"--reduction={method['reduction']}", *schedule, *replay]


def settings_file(content):
    """Write settings to a file that is named by its content; return its path, as a parameter of a command.

    A text in a command could be too long for it, or have what Snakemake takes for a wildcard, or end the script in the
    page of the report, which shows commands as they are.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n"
    path = Path(".snakemake/fdistill/settings", f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json")
    if not path.exists():
        write_text(path, text)
    return str(path)


def without_texts(settings):
    """Return the settings of a task or method without what tables and figures call it."""
    return without(settings, IN_FILES)
