"""Measure a student's risks R_llh and R_cvg and its teacher's TeacherDist on the test split."""

import argparse
from pathlib import Path
from statistics import fmean

from fdistill.artifacts.batch_store import store_for_script
from fdistill.artifacts.files import sha256, write_json
from fdistill.artifacts.lineage import common_lineage
from fdistill.artifacts.manifest import model_identity, versions
from fdistill.config import cli, schema_flags
from fdistill.data.encoding import Limits, read_split
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import read_samples
from fdistill.evaluation.replicates import FILE_IN_HELP, write_replicates
from fdistill.evaluation.resampling import replicate_mean
from fdistill.evaluation.risks import risks, teacher_dist
from fdistill.models import checkpoints, fsdp
from fdistill.runtime import distributed
from fdistill.runtime.device import set_up_device
from fdistill.sampling.batch_sizes import offline_batch_size
from fdistill.sampling.engines import version_of
from fdistill.sampling.offline import sample_sequences
from fdistill.sampling.sampler import SamplingConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", type=Path, required=True, help="folder of the model to measure")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the teacher")
    parser.add_argument("--test", type=Path, required=True, help="test split, Parquet")
    parser.add_argument("--teacher-samples", type=Path, required=True, help="the teacher's samples of the test split")
    parser.add_argument("--risk", type=Path, required=True, help=f"JSON file to write, and beside it {FILE_IN_HELP}")
    cli.add_place_flags(parser, required=True)
    cli.add_offline_flags(parser)
    schema_flags.add_flags(parser, "text")
    schema_flags.add_flags(parser, "risk", keys=("batch_size", "engine"))
    args = cli.parse(parser, "risk")
    inputs = (args.student, args.test, args.teacher_samples)
    place = {"seed": args.seed, "task": args.task, "method": args.method}
    lineage = common_lineage(*inputs, teacher=args.teacher, **place)
    device = set_up_device(args.device, args.threads)
    ranks = distributed.join(device)
    limits = Limits(**schema_flags.read_flags(args, "text"))
    teacher = checkpoints.load(args.teacher, device)
    if args.shard_teacher:
        fsdp.shard(teacher.model, ranks)
    student = checkpoints.load(args.student, device)
    checkpoints.check_same_vocabulary(teacher, student)
    test, _ = read_split(args.test, teacher, limits)
    identity = sample_identity(args.teacher, teacher.tokenizer, args.test)
    teacher_samples = read_samples(args.teacher_samples, test.ids, identity, "teacher_samples")
    identity |= {"student": model_identity(args.student), "samples": sha256(args.teacher_samples)}
    store = store_for_script(args, identity | {"versions": versions() | version_of(args.engine)}, ranks)
    models, longest = [student.model, teacher.model], limits.max_target_tokens
    batch_size = offline_batch_size(args.batch_size, models, args.engine, 1, longest, args.gpu_memory)
    student_samples = sample_sequences(
        student.model,
        test.ids,
        test.sources,
        SamplingConfig(longest),
        1,
        batch_size,
        args.seed,
        store,
        args.engine,
    )["tokens"]
    first_samples = [samples[0] for samples in teacher_samples]
    measured = risks(student.model, teacher.model, test.sources, student_samples, first_samples, batch_size, store)
    if not ranks.is_main:
        return
    eos = teacher.tokenizer.eos_token_id
    without_eos = [[[token for token in sample if token != eos] for sample in samples] for samples in teacher_samples]
    measured["teacher_dist"] = teacher_dist(without_eos)
    replicates = {name: replicate_mean(values) if values else None for name, values in measured.items()}
    write_replicates(args.risk, replicates, lineage)
    write_json(
        args.risk,
        {
            "task": args.task,
            "method": args.method,
            "seed": args.seed,
            "n_inputs": len(test),
            **{name: fmean(values) if values else None for name, values in measured.items()},
            "lineage": lineage,
        },
    )
    store.remove()


if __name__ == "__main__":
    cli.run(main)
