"""Several ranks, with or without FSDP, train the same model and write the same files as one process."""

import json
import random
import signal

import killing
import pytest
import tiny
import torch
from fdistill.artifacts.files import sha256
from fdistill.artifacts.manifest import model_identity
from fdistill.data.samples import write_samples
from fdistill.models.checkpoints import load, save
from fdistill.models.tokenization import tokenizer_identity
from fdistill.runtime.interruption import STATUS
from method_flags import DISTILLM, objective_flags

SIZES = {"train": 45, "dev": 7}  # odd, so that two ranks have unequal parts
RUN = [
    *("--seed", 1, "--batch-size", 4, "--warmup-steps", 3, "--evaluate-every", 0.5, "--learning-rate", 0.003),
    *("--max-source-tokens", 12, "--max-target-tokens", 12, "--device", "cpu"),
]
SAMPLE = ["--max-source-tokens", 12, "--max-target-tokens", 12, "--seed", 3, "--batch-size", 5, "--device", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two splits, models with and without dropout, and samples for the teacher."""
    root = tmp_path_factory.mktemp("study")
    chance = random.Random(0)
    tiny.write_splits(root, SIZES, chance)
    for family in ("bart", "gpt2"):
        for name, seed in (("teacher", 1), ("student", 2)):
            save(tiny.checkpoint(family, seed), root / f"{family}.{name}")
        save(tiny.checkpoint(family, 2, **tiny.DROPOUT[family]), root / f"{family}.dropout")
        teacher = load(root / f"{family}.teacher")
        letters, eos = tiny.letter_ids(teacher), teacher.model.eos_token_id
        ids = [f"train{i}" for i in range(SIZES["train"])]
        tokens = [[*chance.choices(letters, k=chance.randint(1, 6)), eos] for _ in ids]
        columns = {"id": ids, "sample": [0] * len(ids), "tokens": tokens}
        identity = {
            "teacher": model_identity(root / f"{family}.teacher"),
            "tokenizer": tokenizer_identity(teacher.tokenizer),
            "split": sha256(root / "train.parquet"),
        }
        columns |= {"log_prob": [-1.0] * len(ids), "finished": [True] * len(ids)}
        write_samples(root / f"{family}.samples.parquet", columns, identity)
    killing.warm_up()
    return root


def training(folder, family, method, output, *more):
    """Return the command that trains by a method: its script and arguments."""
    data = ["--train", folder / "train.parquet", "--dev", folder / "dev.parquet"]
    output_options = ["--model", output / "model", "--history", output / "train.jsonl"]
    if method == "finetune_teacher":
        return "finetune_teacher", [
            *data, "--family", family, "--init", folder / f"{family}.teacher", *output_options, *RUN, *more
        ]  # fmt: skip
    objective = DISTILLM if method == "distillm" else objective_flags(method)
    models = ["--start", folder / f"{family}.student", "--teacher", folder / f"{family}.teacher"]
    samples = ["--teacher-samples", folder / f"{family}.samples.parquet"]
    return "distill", [*data, *models, *samples, *objective, *output_options, *RUN, *more]


def on_one_rank(command, root):
    """Run a command in one process; it must succeed."""
    assert killing.run(*command, root / "log") == 0, (root / "log").read_text()


def on_several_ranks(command, root, count=2):
    """Run a command on several ranks; all must succeed."""
    processes = killing.start_ranks(*command, root / "log", count)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * count, (root / "log").read_text()


def curve(folder):
    """Return the lines of a training history that have a step."""
    lines = map(json.loads, (folder / "train.jsonl").read_text().splitlines())
    return [line for line in lines if "step" in line]  # the last line is the identity of the file


def numbers(lines):
    """Return all losses, learning rates and scores of a curve, in order."""
    return [
        value for line in lines for value in [*line.get("dev", {}).values(), *line.values()] if isinstance(value, float)
    ]


def log_probs(folder):
    """Return the log-probabilities that the trained model assigns to some targets."""
    checkpoint = load(folder / "model")
    pairs = zip(*tiny.random_pairs(checkpoint, 20, seed=5), strict=True)
    with torch.no_grad():
        return torch.cat([tiny.reference_log_probs(checkpoint.model, source, target) for source, target in pairs])


CASES = [
    ("bart", "js", 1, 2),  # every micro-batch is split
    ("bart", "js", 2, 2),  # each rank has one micro-batch, except in the last step of an epoch
    ("bart", "predistill", 1, 3),  # more ranks than micro-batches: their parts differ in size
    ("bart", "mle", 1, 2),  # the teacher, sharded or not, is run for the agreement with it alone
    ("bart", "finetune_teacher", 3, 2),
    ("gpt2", "js_exact", 2, 2),
    ("bart", "distillm", 2, 2),  # one buffer for all ranks
    ("gpt2", "joint_teaching", 1, 2),
]


@pytest.mark.parametrize(("family", "method", "accumulation", "count"), CASES)
@pytest.mark.parametrize("shard", [False, True], ids=["replicas", "shard"])
def test_ranks_train_the_model_that_one_trains(folder, family, method, accumulation, count, shard, tmp_path):
    more = ["--epochs", 1, "--accumulation", accumulation]
    on_one_rank(training(folder, family, method, tmp_path / "one", *more), tmp_path)
    shared = ["--shard-teacher"] if shard else []
    on_several_ranks(training(folder, family, method, tmp_path / "several", *more, *shared), tmp_path, count)
    one, several = curve(tmp_path / "one"), curve(tmp_path / "several")
    assert [line["step"] for line in one] == [line["step"] for line in several] and len(one) >= 4
    assert numbers(several) == pytest.approx(numbers(one), rel=1e-6, abs=1e-6)
    losses = [[line["loss"] for line in lines if "loss" in line] for lines in (one, several)]
    difference = max(abs(b / a - 1) for a, b in zip(*losses, strict=True))
    print(f"{family} {method}, {count} ranks{', FSDP-sharded' * shard}: largest relative difference {difference:.0e}")
    # Not tighter: some gradients, such as that of a key's bias, are 0 up to rounding, and Adam makes a full step of it.
    torch.testing.assert_close(log_probs(tmp_path / "one"), log_probs(tmp_path / "several"), rtol=1e-4, atol=1e-4)


def test_ranks_with_whole_micro_batches_have_the_dropout_of_one(folder, tmp_path):
    """Dropout is sampled per micro-batch, so it is the same as long as no micro-batch is split."""
    for name, run in (("one", on_one_rank), ("two", on_several_ranks)):
        script, arguments = training(folder, "bart", "js", tmp_path / name, "--epochs", 1, "--accumulation", 2)
        run((script, [*arguments, "--start", folder / "bart.dropout"]), tmp_path)
    assert numbers(curve(tmp_path / "two")) == pytest.approx(numbers(curve(tmp_path / "one")), rel=1e-6, abs=1e-6)


SHARED = {
    "ancestral": ["sample_teacher", "--samples", "OUTPUT", "--per-input", 2],
    "beam": ["sample_teacher", "--samples", "OUTPUT", "--mode", "beam", "--num-beams", 2, "--per-input", 2],
    "diverse_beam": [
        *("sample_teacher", "--samples", "OUTPUT", "--mode", "diverse_beam", "--per-input", 3),
        *("--num-beams", 4, "--num-beam-groups", 2, "--diversity-penalty", 0.5),
    ],
    "generate": ["generate", "--generations", "OUTPUT", "--max-new-tokens", 9, "--num-beams", 2],
    "risk": ["generate", "--risk", "OUTPUT", "--task", "t", "--method", "m", "--max-new-tokens", 9],
}


@pytest.mark.parametrize("stage", SHARED)
def test_ranks_of_a_sharded_teacher_write_what_one_writes(folder, stage, tmp_path):
    script, *arguments = SHARED[stage]
    dev, teacher = folder / "dev.parquet", folder / "bart.teacher"
    if script == "sample_teacher":
        files = ["--split", dev, "--teacher", teacher]
    elif stage == "generate":
        files = ["--test", dev, "--model", teacher]
    else:
        sampled = ["--split", dev, "--teacher", teacher, "--samples", tmp_path / "samples.parquet"]
        on_one_rank(("sample_teacher", [*sampled, *SAMPLE]), tmp_path)
        student = folder / "bart.student"
        files = [
            "--test",
            dev,
            "--teacher",
            teacher,
            "--model",
            student,
            "--generations",
            tmp_path / "outputs.parquet",
            "--teacher-samples",
            tmp_path / "samples.parquet",
        ]
    for name, shared in (("one", []), ("two", ["--shard-teacher", "--shards", tmp_path / "kept"])):
        output_options = [tmp_path / name if part == "OUTPUT" else part for part in arguments]
        (on_several_ranks if shared else on_one_rank)((script, [*files, *output_options, *SAMPLE, *shared]), tmp_path)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("shard", [[], ["--shard-teacher"]], ids=["replicas", "shard"])
@pytest.mark.parametrize("method", ["finetune_teacher", "js"])
def test_ranks_stop_together_and_resume(folder, method, shard, tmp_path):
    command = training(folder, "bart", method, tmp_path / "whole", "--epochs", 2, *shard)
    on_several_ranks(command, tmp_path)
    kept = ["--checkpoints", tmp_path / "kept", "--checkpoint-minutes", "none", "--epochs", 2, *shard]
    script, arguments = training(folder, "bart", method, tmp_path / "stopped", *kept)
    log = tmp_path / "stopped.log"
    processes = killing.start_ranks(script, arguments, log)
    killing.wait_for(lambda: log.exists() and "step 6: development" in log.read_text(), processes[1])
    assert killing.signal_after(processes[1], 0, signal.SIGTERM)
    processes[0].join()
    assert [process.exitcode for process in processes] == [STATUS, STATUS], log.read_text()
    assert "SIGTERM: stopped at step " in log.read_text() and not (tmp_path / "stopped").exists()
    on_several_ranks((script, arguments), tmp_path)
    assert "resuming from" in (tmp_path / "log").read_text()
    assert not (tmp_path / "kept").exists()
    for name in ("train.jsonl", "model/model.safetensors"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_adafactor_cannot_train_a_sharded_model(folder, tmp_path):
    command = training(
        folder,
        "bart",
        "finetune_teacher",
        tmp_path / "adafactor",
        "--optimizer",
        "adafactor",
        "--shard-teacher",
        "--epochs",
        1,
    )
    for process in killing.start_ranks(*command, tmp_path / "log"):
        process.join()
        assert process.exitcode == 1
    assert "training.optimizer: adafactor cannot train a model sharded over GPUs" in (tmp_path / "log").read_text()


def test_ranks_train_a_teacher_by_lora(folder, tmp_path):
    """As one does; and sharded it is refused."""
    more = ["--epochs", 1, "--lora", '{"rank": 2}']
    on_one_rank(training(folder, "bart", "finetune_teacher", tmp_path / "one", *more), tmp_path)
    on_several_ranks(training(folder, "bart", "finetune_teacher", tmp_path / "several", *more), tmp_path)
    assert numbers(curve(tmp_path / "several")) == pytest.approx(numbers(curve(tmp_path / "one")), rel=1e-6, abs=1e-6)
    torch.testing.assert_close(log_probs(tmp_path / "one"), log_probs(tmp_path / "several"), rtol=1e-4, atol=1e-4)
    command = training(folder, "bart", "finetune_teacher", tmp_path / "sharded", *more, "--shard-teacher")
    assert killing.run(*command, tmp_path / "log") == 1
    assert "--lora: a sharded model (--shard-teacher) cannot be trained by LoRA" in (tmp_path / "log").read_text()


def test_a_student_whose_training_needs_no_teacher_is_not_sharded(folder, tmp_path):
    """The task's teacher is sharded, and `mle` does not load it unless the agreement with it is measured."""
    more = ["--optimizer", "adafactor", "--shard-teacher", "--selection-agreement-top-k", 0, "--epochs", 1]
    on_several_ranks(training(folder, "bart", "mle", tmp_path / "student", *more), tmp_path)
    assert (tmp_path / "student/model").is_dir()
