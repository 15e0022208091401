"""Checks of the stages, each by the script that the workflow runs, and compared with the CPU where both can be."""

import json

from fdistill.artifacts.files import read_json, read_parquet
from fdistill.bench.gpu_check.case import LIMITS, Case, run_script, text_flags
from fdistill.bench.gpu_check.outcome import Measured
from fdistill.data.schemas import GENERATIONS, SAMPLES
from fdistill.losses.sequences import TEACHER_SAMPLES
from fdistill.sampling.cache_kinds import STATES

# Bounds of relative differences between a device and the CPU, by precision. Rounding to float32 is 6e-8, and a sum over
# the few hundred products of a small model's layers some ten times that. Rounding to bfloat16 is 4e-3.
RELATIVE = {"fp32": 1e-5, "bf16": 2e-2}
# Sequences that may differ from the CPU's: a rounding decides when two tokens are equally likely, or a random number
# falls between two tokens.
OTHER_SEQUENCES = 0.1
CACHED = "teacher_cache"


def relative(value: float, reference: float) -> float:
    """Return the relative difference of a value from its reference."""
    return abs(value - reference) / max(abs(reference), 1e-12)


def finetune(case: Case) -> Measured:
    """Fine-tune the teacher."""
    case.write_texts()
    teacher = case.model()["teacher"]
    start = ["--family", case.family, "--init", teacher["init"], "--vocab-size", teacher["vocab_size"]]
    start += ["--model-config", json.dumps(teacher["config"])]
    run_script("finetune_teacher", [*start, *case.training("teacher", epochs=8)])
    return _learnt(case, "teacher")


def predistill(case: Case) -> Measured:
    """Initialise the student from the teacher's layers, and pre-distil it."""
    student = ["--teacher", case.path("teacher/model"), "--model", case.path("init_student/model")]
    run_script("init_student", [*student, "--layers", json.dumps(case.stacks)])
    models = ["--start", case.path("init_student/model"), "--teacher", case.path("teacher/model")]
    terms = ["--terms", json.dumps(case.methods["predistill"]["terms"])]
    run_script("distill", [*models, *terms, *case.training("predistill")])
    return _learnt(case, "predistill")


def _learnt(case: Case, name: str) -> Measured:
    """Return how far the loss on the development split has fallen; a training that learns nothing fails."""
    scores = [entry["dev"]["nll"] for entry in case.history(name) if "dev" in entry]
    note = f"{scores[0]:.3f} before, {min(scores[1:]):.3f} after"
    return Measured("development NLL, after / before", min(scores[1:]) / scores[0], 0.999, note)


def sample(case: Case) -> Measured:
    """Sample the teacher for the training and the test split, and for the first on the CPU too."""
    for split in ("train", "test"):
        _sample(case, split, case.path(f"{split}.samples.parquet"))
    _sample(case.on_cpu(), "train", case.path("cpu.samples.parquet"))
    ours, cpu = (read_parquet(case.path(f"{name}.samples.parquet"), SAMPLES)[0] for name in ("train", "cpu"))
    rows = zip(ours["tokens"], cpu["tokens"], ours["log_prob"], cpu["log_prob"], strict=True)
    same = [relative(mine, other) for tokens, others, mine, other in rows if tokens == others]
    _refuse_others(len(same), len(ours["tokens"]))
    note = f"{len(same)} of {len(ours['tokens'])} sequences are the CPU's"
    return Measured("log-probability of a sample against the CPU, relative", max(same), RELATIVE["fp32"], note)


def _sample(case: Case, split: str, samples: object) -> None:
    models = ["--teacher", case.path("teacher/model"), "--split", case.path(f"{split}.parquet")]
    outputs = ["--samples", samples, "--kind", TEACHER_SAMPLES]
    run_script("sample_teacher", [*models, *outputs, *case.run_flags(), *text_flags()])


def _refuse_others(same: int, count: int) -> None:
    """Raise AssertionError when too many sequences are others than the CPU's."""
    if same < (1 - OTHER_SEQUENCES) * count:
        raise AssertionError(
            f"only {same} of {count} sequences are those that the CPU makes of the same random numbers"
        )


def cache(case: Case) -> Measured:
    """Store the teacher's distributions on its samples."""
    models = ["--teacher", case.path("teacher/model"), "--split", case.path("train.parquet")]
    models += ["--teacher-samples", case.path("train.samples.parquet"), "--cache", case.path(CACHED)]
    run_script(
        "cache_teacher", [*models, "--kind", STATES, "--precision", case.precision, *case.run_flags(), *text_flags()]
    )
    return Measured("files", len([*case.path(CACHED).iterdir()]))


def distill(case: Case, method: str) -> Measured:
    """Distil by a method, with the teacher beside the student."""
    run_script("distill", distill_arguments(case, method, method))
    losses = _losses(case, method)
    return Measured("loss of the last step", losses[-1], note=f"{losses[0]:.4f} in the first of {len(losses)} steps")


def distill_cached(case: Case, method: str) -> Measured:
    """Distil by a method from the stored distributions; compared with the same step beside the teacher."""
    name = f"{method} cached"
    run_script("distill", [*distill_arguments(case, method, name), "--teacher-cache", case.path(CACHED)])
    first, beside = _losses(case, name)[0], _losses(case, method)[0]
    what = "loss of the first step against the teacher's own, relative"
    return Measured(what, relative(first, beside), RELATIVE[case.precision])


def distill_arguments(case: Case, method: str, name: str) -> list[object]:
    """Return the arguments of a distillation that writes its files as `name`."""
    models = ["--start", case.path("predistill/model"), "--teacher", case.path("teacher/model")]
    samples = ["--teacher-samples", case.path("train.samples.parquet")]
    return [*models, *samples, "--terms", json.dumps(case.methods[method]["terms"]), *case.training(name)]


def _losses(case: Case, name: str) -> list[float]:
    return [entry["loss"] for entry in case.history(name) if "loss" in entry]


def generate(case: Case) -> Measured:
    """Generate the student's outputs by beam search and measure its risks, here and on the CPU."""
    for where, name in ((case, "generate"), (case.on_cpu(), "cpu")):
        models = ["--model", case.path("predistill/model"), "--teacher", case.path("teacher/model")]
        inputs = ["--test", case.path("test.parquet"), "--teacher-samples", case.path("test.samples.parquet")]
        outputs = ["--generations", case.path(f"{name}.parquet"), "--risk", case.path(f"{name}.risk.json")]
        place = ["--task", "gpu_check", "--method", "predistill", "--num-beams", 2]
        decoding = ["--max-new-tokens", LIMITS.max_target_tokens]
        run_script("generate", [*models, *inputs, *outputs, *place, *decoding, *where.run_flags(), *text_flags()])
    ours, cpu = (
        read_parquet(case.path(f"{name}.parquet"), GENERATIONS)[0]["hypothesis"] for name in ("generate", "cpu")
    )
    same = sum(mine == other for mine, other in zip(ours, cpu, strict=True))
    _refuse_others(same, len(ours))
    return Measured("share of outputs that are not the CPU's", 1 - same / len(ours), OTHER_SEQUENCES)


def risk(case: Case) -> Measured:
    """Compare R_cvg, the risk on fixed sequences, with the CPU's; R_llh is on samples, which may be others."""
    ours, cpu = (read_json(case.path(f"{name}.risk.json")) for name in ("generate", "cpu"))
    keys = ("r_cvg_token", "r_cvg_sequence")
    difference = max(relative(ours[key], cpu[key]) for key in keys)
    note = ", ".join(f"{key} {ours[key]:.4f}" for key in (*keys, "r_llh_token", "r_llh_sequence"))
    return Measured("R_cvg against the CPU, relative", difference, RELATIVE["fp32"], note)
