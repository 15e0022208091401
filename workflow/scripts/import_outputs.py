"""Import outputs of a teacher from outside: as stored teacher sequences of a split, in the student's tokens.

With --cache, what log-probabilities say of the teacher's distributions is stored too, as cache_teacher stores them.
With --generations and --risk, the outputs for the test split become the teacher's row in the tables.
"""

import argparse
from pathlib import Path

from fdistill.artifacts.contributions import CONTRIBUTIONS, OUTPUTS, contribution
from fdistill.artifacts.files import note_input, read_parquet, sha256, write_parquet
from fdistill.artifacts.lineage import TEACHER_METHOD, common_lineage
from fdistill.artifacts.manifest import versions
from fdistill.config import cli, schema_flags
from fdistill.data.encoding import rows_of
from fdistill.data.imported_outputs import import_outputs
from fdistill.data.limits import Limits
from fdistill.data.output_tokens import Encoder
from fdistill.data.outputs import Inputs, files_of, outputs_file
from fdistill.data.sample_identity import sample_identity
from fdistill.data.samples import write_samples
from fdistill.data.schemas import GENERATIONS, SPLIT
from fdistill.evaluation.replicates import FILE_IN_HELP, beside
from fdistill.evaluation.risks import outputs_missing, teacher_dist, write_risks
from fdistill.models.outlines import describe
from fdistill.runtime.errors import UserError
from fdistill.sampling.outputs_cache import write_outputs_cache
from fdistill.sampling.teacher_cache import outputs_identity


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
    imported = import_outputs(args.outputs, inputs, encoder, with_log_probs=args.cache is not None)

    file, hashes = outputs_file(args.outputs), " ".join(map(sha256, files_of(args.outputs)))
    identity = {
        "lineage": lineage,
        **sample_identity(None, tokenizer, args.split),
        "outputs": hashes,
        CONTRIBUTIONS: [contribution(OUTPUTS, file.name, hashes)],
    }
    write_samples(args.samples, imported.sample_columns(), identity)
    if args.cache:
        made_of = {"inputs": outputs_identity(args.samples, inputs.wanted), "lineage": lineage}
        manifest = {"stage": "import_outputs", **made_of, "versions": versions()}
        write_outputs_cache(args.cache, file, imported.sequences, manifest)
    of_teacher = lineage | {"method": TEACHER_METHOD, "seed": str(args.seed)}
    if args.generations:
        write_parquet(args.generations, imported.generation_columns(), GENERATIONS, identity | {"lineage": of_teacher})
    if args.risk:
        samples = [[sequence.tokens for sequence in rows] for rows in imported.of_input.values()]
        place = {"task": args.task, "method": TEACHER_METHOD, "seed": args.seed, "n_inputs": len(samples)}
        unknown = outputs_missing()
        measured = {risk: [] for risk in unknown} | {"teacher_dist": teacher_dist(samples, [tokenizer.eos_token_id])}
        write_risks(args.risk, measured, unknown, place, of_teacher)


if __name__ == "__main__":
    cli.run(main)
