"""Generate a model's outputs for the test split, and measure its risks: R_llh, R_cvg, and its teacher's TeacherDist.

Both in one job, since starting it takes longer than either takes for a small model. Without --risk, only outputs. Risks
of a teacher from outside are measured as far as its outputs for the test split go (--teacher-samples alone).
"""

import argparse
from pathlib import Path

from fdistill.artifacts.batch_store import BatchStore, store_for_script
from fdistill.artifacts.files import sha256, write_parquet
from fdistill.artifacts.lineage import Lineage, common_lineage
from fdistill.artifacts.manifest import model_identity, versions
from fdistill.config import cli, schema_flags
from fdistill.data.encoding import Encoded, read_split
from fdistill.data.limits import Limits
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import read_samples
from fdistill.data.schemas import GENERATIONS
from fdistill.evaluation.replicates import FILE_IN_HELP, beside
from fdistill.evaluation.risks import missing, risks, teacher_dist, write_risks
from fdistill.models import checkpoints, fsdp
from fdistill.models.checkpoints import Checkpoint
from fdistill.models.vocabularies import have_one_tokenizer
from fdistill.runtime import distributed
from fdistill.runtime.device import set_up_device
from fdistill.runtime.distributed import Ranks
from fdistill.runtime.errors import UserError
from fdistill.sampling.batch_sizes import offline_batch_size
from fdistill.sampling.engines import version_of
from fdistill.sampling.offline import generate_texts, sample_sequences
from fdistill.sampling.sampler import SamplingConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model, a student or the teacher")
    parser.add_argument("--test", type=Path, required=True, help="test split, Parquet")
    parser.add_argument("--generations", type=Path, required=True, help="Parquet file to write")
    group = parser.add_argument_group("risks")
    group.add_argument("--teacher", type=Path, help="folder of the teacher (default: none, it is a file of outputs)")
    group.add_argument("--teacher-samples", type=Path, help="the teacher's samples of the test split")
    group.add_argument("--risk", type=Path, help=f"JSON file to write, and beside it {FILE_IN_HELP}")
    cli.add_offline_flags(parser)
    cli.add_shard_flag(parser)
    for section in ("text", "decoding"):
        schema_flags.add_flags(parser, section)
    schema_flags.add_flags(parser, "risk", "risk-", keys=("batch_size", "engine"))
    cli.add_place_flags(parser)
    args = cli.parse(parser, "generations", "risk", beside={"risk": beside})
    if args.teacher and not (args.teacher_samples and args.risk):
        raise UserError("--teacher needs --teacher-samples and --risk; give all or none")
    if args.teacher_samples and not args.risk:
        raise UserError("--teacher-samples needs --risk; give both or none")
    if args.risk and not (args.task and args.method):
        raise UserError("--risk needs --task and --method, which the file records; give both")

    inputs = [path for path in (args.model, args.test, args.teacher_samples) if path]
    lineage = common_lineage(*inputs, teacher=args.teacher, seed=args.seed, task=args.task, method=args.method)
    device = set_up_device(args.device, args.threads)
    ranks = distributed.join(device)
    model = checkpoints.load(args.model, device)
    is_teacher = args.teacher is None or args.teacher.resolve() == args.model.resolve()  # a model without one
    if args.shard_teacher and is_teacher:
        fsdp.shard(model.model, ranks)
    test, _ = read_split(args.test, model, Limits(**schema_flags.read_flags(args, "text")))

    stores = [generate(args, model, test, lineage, args.shard_teacher and is_teacher, ranks)]
    if args.risk:
        teacher = None
        if args.teacher:
            teacher = model if is_teacher else checkpoints.load(args.teacher, device)
            if args.shard_teacher and not is_teacher:
                fsdp.shard(teacher.model, ranks)
        stores.append(measure_risks(args, model, teacher, test, lineage, ranks))
    for store in stores:  # now that all files are written
        store.remove()


def generate(
    args: argparse.Namespace, model: Checkpoint, test: Encoded, lineage: Lineage, is_sharded: bool, ranks: Ranks
) -> BatchStore:
    """Write the outputs; return the store of their batches."""
    decoding = schema_flags.read_flags(args, "decoding")
    batch_size, engine = decoding.pop("batch_size"), decoding.pop("engine")
    beams, longest = decoding["num_beams"], decoding["max_new_tokens"]
    identity = {
        "lineage": lineage,
        "model": model_identity(args.model),
        "split": sha256(args.test),
        "decoding": str(decoding),
        "engine": engine,
    }
    store = store_for_script(args, identity | {"versions": versions() | version_of(engine)}, ranks, is_sharded)
    batch_size = offline_batch_size(batch_size, [model.model], engine, beams, longest, args.gpu_memory)
    columns = generate_texts(model.model, model.tokenizer, test.sources, decoding, batch_size, args.seed, store, engine)
    if ranks.is_main:
        write_parquet(args.generations, {"id": test.ids, **columns}, GENERATIONS, identity)
    return store


def measure_risks(
    args: argparse.Namespace,
    student: Checkpoint,
    teacher: Checkpoint | None,
    test: Encoded,
    lineage: Lineage,
    ranks: Ranks,
) -> BatchStore:
    """Write the risks of `student`; return the store of their batches."""
    engine = args.risk_engine
    tokenizer = (teacher or student).tokenizer  # of the teacher's samples
    identity, teacher_samples = sample_identity(args.teacher, tokenizer, args.test), []
    if args.teacher_samples:
        teacher_samples = read_samples(args.teacher_samples, test.ids, identity, "teacher_samples")
        identity |= {"samples": sha256(args.teacher_samples)}
    identity |= {"student": model_identity(args.model)}
    versions_used = {"versions": versions() | version_of(engine)}
    store = store_for_script(args, identity | versions_used, ranks, args.shard_teacher)
    models, longest = [each.model for each in (student, teacher) if each], args.max_target_tokens
    batch_size = offline_batch_size(args.risk_batch_size, models, engine, 1, longest, args.gpu_memory)
    # Probabilities of the same tokens are compared: a student with a tokenizer of its own has none of the two risks.
    has_one_tokenizer = teacher is None or have_one_tokenizer(teacher, student)
    student_samples = []
    if teacher is not None and has_one_tokenizer:
        sampling = SamplingConfig(longest)
        student_samples = sample_sequences(
            student.model, test.ids, test.sources, sampling, 1, batch_size, args.seed, store, engine
        )["tokens"]
    first_samples = [samples[0] for samples in teacher_samples] if has_one_tokenizer else []
    teacher_model = teacher.model if teacher and has_one_tokenizer else None
    measured = risks(student.model, teacher_model, test.sources, student_samples, first_samples, batch_size, store)
    measured["teacher_dist"] = teacher_dist(teacher_samples, (teacher or student).model.ends)
    if ranks.is_main:
        place = {"task": args.task, "method": args.method, "seed": args.seed, "n_inputs": len(test)}
        unknown = missing(teacher is not None, bool(teacher_samples), has_one_tokenizer)
        write_risks(args.risk, measured, unknown, place, lineage)
    return store


if __name__ == "__main__":
    cli.run(main)
