"""Use a trained model: read sources, write its outputs as JSON lines.

A row of the input becomes a row of the output, in the same order, with these keys in addition: `output`, the text;
`truncated`, whether the source was longer than the model's maximum and was cut; `finished`, whether the output ended
before its own maximum. A source that is empty or white space is not given to the model: its output is empty.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import tee
from pathlib import Path
from typing import TextIO

from fdistill.artifacts.atomic import atomic
from fdistill.config import cli, schema_flags
from fdistill.data.requests import COLUMN, FORMATS, Request, read_requests
from fdistill.data.sources.files.identification import STDIN
from fdistill.data.sources.files.local_files import expanded
from fdistill.runtime.errors import UserError

STREAM = "-"
ANSWER = ("output", "truncated", "finished")
TEXT = ("source_prefix", "source_suffix", "max_source_tokens")
DECODING = ("max_new_tokens", "min_new_tokens", "num_beams", "length_penalty", "early_stopping", "no_repeat_ngram_size")
SAMPLING = ("do_sample", "top_k", "top_p")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder of an exported model (rule export)")
    parser.add_argument("--input", required=True, metavar="FILE", help="sources; - reads the standard input")
    parser.add_argument(
        "--format", choices=FORMATS,
        help="format of the input; text has one source per line (default: by the suffix; a stream is text)",
    )  # fmt: skip
    parser.add_argument("--column", help=f"column or key of the sources, not of a text (default: {COLUMN})")
    parser.add_argument("--output", default=STREAM, metavar="FILE", help="JSON lines to write (default: to stdout)")
    cli.add_run_flags(parser, seed=1)
    cli.add_memory_flag(parser)
    schema_flags.add_flags(parser, "decoding", keys=("batch_size", "engine"))
    schema_flags.add_override_flags(parser, "text", TEXT, "default: as exported")
    schema_flags.add_override_flags(parser, "decoding", DECODING + SAMPLING, "default: as exported")
    args = parser.parse_args()
    if args.output != STREAM and Path(args.output).resolve() == Path(args.input).expanduser().resolve():
        raise UserError(f"{args.output}: --output and --input are the same; give the output a place of its own")

    from fdistill.data.encoding import Limits, check_positions  # these imports take seconds
    from fdistill.models import checkpoints
    from fdistill.models.export import read_usage
    from fdistill.runtime.device import set_up_device
    from fdistill.sampling.batch_sizes import offline_batch_size
    from fdistill.sampling.inference import infer

    usage = read_usage(args.model)
    rows, ahead = tee(_read(args))
    sources = (row[args.column or COLUMN] for row in ahead)
    if args.input != STREAM:
        sources = list(sources)  # a mistake in any row is found before the model begins
    text = usage.text | schema_flags.read_overrides(args, TEXT)
    decoding = {key: usage.generation[key] for key in DECODING + SAMPLING if key in usage.generation}
    decoding |= schema_flags.read_overrides(args, DECODING + SAMPLING)
    beams, longest = decoding.get("num_beams", 1), decoding["max_new_tokens"]
    limits = Limits(**text | {"max_target_tokens": longest, "too_long": "truncate"})
    checkpoint = checkpoints.load(args.model, set_up_device(args.device, args.threads), reports_decoding=False)
    check_positions(checkpoint, limits)
    batch_size = offline_batch_size(args.batch_size, [checkpoint.model], args.engine, beams, longest, args.gpu_memory)
    answers = infer(checkpoint, sources, limits, decoding, batch_size, args.seed, args.engine)
    with _opened(args.output) as output:
        for row, answer in zip(rows, answers, strict=True):
            output.write(json.dumps(row | vars(answer), ensure_ascii=False) + "\n")


def _read(args: argparse.Namespace) -> Iterator[Request]:
    """Yield the rows of the input."""
    file = STDIN if args.input == STREAM else expanded(args.input)
    for row in read_requests(file, args.format, args.column):
        if taken := next((key for key in ANSWER if key in row), None):
            raise UserError(f"{file}: has a column '{taken}', which the output would replace; rename it")
        yield row


@contextmanager
def _opened(path: str) -> Iterator[TextIO]:
    """Open the output: a file appears when it is complete, the standard output receives each line at once."""
    if path != STREAM:
        with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            yield file
        return
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    try:
        yield sys.stdout
    except BrokenPipeError:  # whoever reads the lines, such as `head`, has enough
        _discard_stdout()
    except OSError as error:
        _discard_stdout()
        raise UserError(f"stdout cannot be written ({error.strerror}); make room, or use --output FILE") from None


def _discard_stdout() -> None:
    """Send what is left to nowhere, or Python would complain when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    cli.run(main)
