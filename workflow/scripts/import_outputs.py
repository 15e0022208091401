"""Import outputs of a teacher from outside: as stored teacher sequences of a split, in the student's tokens.

With --cache, what log-probabilities say of the teacher's distributions is stored too, as cache_teacher stores them.
With --generations and --risk, the outputs for the test split become the teacher's row in the tables.
"""

import argparse
import logging
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from fdistill.artifacts.contributions import CONTRIBUTIONS, OUTPUTS, contribution
from fdistill.artifacts.files import note_input, read_parquet, sha256, write_json, write_parquet
from fdistill.artifacts.lineage import TEACHER_METHOD, Lineage, common_lineage
from fdistill.artifacts.manifest import versions
from fdistill.config import cli, schema_flags
from fdistill.data.encoding import Limits, rows_of
from fdistill.data.lines import tidy_lines
from fdistill.data.output_tokens import EncodedOutput, Encoder, rectangular
from fdistill.data.outputs import Inputs, files_of, outputs_file, read_outputs
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import write_samples
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation.replicates import FILE_IN_HELP, beside, write_replicates
from fdistill.evaluation.resampling import replicate_mean
from fdistill.evaluation.risks import missing, teacher_dist
from fdistill.models.outlines import describe
from fdistill.runtime.errors import UserError
from fdistill.sampling.teacher_cache import TOPK, outputs_identity, write_distributions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, required=True, help="prepared split that the outputs are for, Parquet")
    parser.add_argument("--outputs", required=True, metavar="FILE", help="the outputs, .jsonl or .parquet")
    parser.add_argument("--student", type=Path, required=True, help="folder of the student, for its tokenizer")
    parser.add_argument("--samples", type=Path, required=True, help="Parquet file to write: the stored sequences")
    parser.add_argument(
        "--cache", type=Path, help="folder to write: the teacher's distributions, from log-probabilities"
    )
    parser.add_argument("--generations", type=Path, help="Parquet file to write: each input's first output")
    parser.add_argument("--risk", type=Path, help=f"JSON file to write: TeacherDist, and beside it {FILE_IN_HELP}")
    cli.add_max_examples_flag(parser)
    schema_flags.add_flags(parser, "text")
    cli.add_run_flags(parser, seed=1)
    cli.add_place_flags(parser, method=False)
    args = cli.parse(parser, "samples", "cache", "generations", "risk", beside={"risk": beside})
    if args.risk and not args.task:
        raise UserError("--risk needs --task, which the file records; give both")
    lineage = common_lineage(args.split, start=args.student, task=args.task)
    tokenizer = describe(args.student).tokenizer
    encoder = Encoder(tokenizer, Limits(**schema_flags.read_flags(args, "text")))
    columns, _ = read_parquet(args.split, SPLIT)
    inputs = Inputs(columns, rows_of(len(columns["id"]), args.max_examples), args.split)
    for part in files_of(args.outputs):
        note_input(part)

    texts: dict[str, str] = {}  # each input's first
    found: dict[str, list[EncodedOutput]] = {}
    for output in read_outputs(args.outputs):
        if not (examples := inputs.of(output)):
            continue
        encoded = encoder.encode(output, with_log_probs=args.cache is not None)
        for example in examples:
            texts.setdefault(example, output.texts[0])
            found.setdefault(example, []).extend(encoded)
    file = outputs_file(args.outputs)
    inputs.check_complete(file, found)
    of_input = [found[example] for example in inputs.wanted]
    sequences = list(chain.from_iterable(of_input))
    logging.info(
        "%s: %d outputs for %d inputs, %d of them cut to max_target_tokens",
        *(file, len(sequences), len(of_input), encoder.cut),
    )
    hashes = " ".join(map(sha256, files_of(args.outputs)))
    identity = {
        "lineage": lineage,
        **sample_identity(None, tokenizer, args.split),
        "outputs": hashes,
        CONTRIBUTIONS: [contribution(OUTPUTS, file.name, hashes)],
    }
    write_samples(
        args.samples,
        {
            "id": [example for example, rows in zip(inputs.wanted, of_input, strict=True) for _ in rows],
            "sample": [number for rows in of_input for number in range(len(rows))],
            "tokens": [sequence.tokens for sequence in sequences],
            "log_prob": [sequence.log_prob for sequence in sequences],
            "finished": [sequence.finished for sequence in sequences],
        },
        identity,
    )
    if args.cache:
        store_distributions(args, file, sequences, inputs.wanted, lineage)
    if args.generations:
        first = [rows[0] for rows in of_input]
        outputs = {
            "id": inputs.wanted,
            "hypothesis": [tidy_lines(texts[example]) for example in inputs.wanted],
            "n_tokens": [len(sequence.tokens) for sequence in first],
            "finished": [sequence.finished for sequence in first],
        }
        write_parquet(args.generations, outputs, GENERATIONS, identity | of_teacher(args, lineage))
    if args.risk:
        write_risk(args, of_input, tokenizer.eos_token_id, of_teacher(args, lineage))


def store_distributions(
    args: argparse.Namespace, file: Path, sequences: list[EncodedOutput], ids: list[str], lineage: Lineage
) -> None:
    """Write the cache: at every position as many tokens as are known at all."""
    known = [sequence for sequence in sequences if sequence.known is not None]
    if not known:
        raise UserError(
            f"{file}: no row has log-probabilities; add tokens and log_probs, or set "
            "model.teacher.outputs.log_probs: false"
        )
    width = min(sequence.known[0].shape[1] for sequence in known)
    if without := len(sequences) - len(known):
        logging.warning("%s: %d of %d outputs are without log-probabilities", file, without, len(sequences))
    logging.info("%s: the %d likeliest tokens are known per position", file, width)
    rows = ((row, rectangular(sequence, width)) for row, sequence in enumerate(sequences))
    batches = (([row], [[torch.from_numpy(column)] for column in columns]) for row, columns in rows)
    inputs = outputs_identity(args.samples, ids)
    manifest = {"stage": "import_outputs", "lineage": lineage, "inputs": inputs, "top_k": width, "versions": versions()}
    write_distributions(args.cache, TOPK, batches, manifest)


def of_teacher(args: argparse.Namespace, lineage: Lineage) -> dict[str, Any]:
    """Return the lineage of the teacher's row."""
    return {"lineage": lineage | {"method": TEACHER_METHOD, "seed": str(args.seed)}}


def write_risk(
    args: argparse.Namespace, of_input: list[list[EncodedOutput]], eos: int, identity: dict[str, Any]
) -> None:
    """Write what is known of the teacher's risks: its diversity, which its outputs for an input show."""
    without_eos = [[[token for token in row.tokens if token != eos] for row in rows] for rows in of_input]
    shares = teacher_dist(without_eos)
    replicates = {"teacher_dist": [replicate_mean(shares)] if shares else None}
    write_replicates(args.risk, replicates, identity["lineage"])
    place = {"task": args.task, "method": TEACHER_METHOD, "seed": args.seed, "n_inputs": len(of_input)}
    unknown = missing(has_teacher=False, has_samples=True)
    unknown |= dict.fromkeys(("r_cvg_token", "r_cvg_sequence"), unknown["r_llh_token"])
    risks = dict.fromkeys(unknown) | {"teacher_dist": fmean(shares) if shares else None}
    write_json(args.risk, {**place, **risks, "missing": unknown, **identity})


if __name__ == "__main__":
    cli.run(main)
