"""Command lines: how scripts run, and the flags that several have in common."""

import argparse
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fdistill import INTERRUPTED, end_at_once
from fdistill.artifacts import journal, provenance
from fdistill.config import arguments
from fdistill.config.placed_files import PlacedFile
from fdistill.config.schema import STUDY, section
from fdistill.config.schema_flags import add_flag, add_flags
from fdistill.runtime import redaction
from fdistill.runtime.errors import UserError
from fdistill.runtime.redaction import redact

NULL = "none"
# Folders that an output may lie in: of unfinished work, which the script itself reads and deletes, of curves, and the
# study's.
FOLDERS = ("shards", "checkpoints", "curves", "results")


def run(main: Callable[[], None]) -> None:
    """Run a script's `main` with a log on stderr, and write the provenance record of a run that succeeds.

    A `UserError` becomes one message and exit status 1, Ctrl-C one word and exit status 130. Secrets are removed from
    the log and from messages.
    """
    try:
        with _ended_by_exception():
            _run(main)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


@contextmanager
def _ended_by_exception() -> Iterator[None]:
    """Let Ctrl-C raise an exception, which cleans up, in a script that it ends at once before and after."""
    at_once = signal.getsignal(signal.SIGINT) is end_at_once
    if at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if at_once:
            signal.signal(signal.SIGINT, end_at_once)


def _run(main: Callable[[], None]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(redaction.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("torch").setLevel(logging.WARNING)  # it logs its caches' statistics when a run is interrupted
    try:
        with journal.opened() as notes:
            main()
            provenance.write_record(notes)
    except UserError as error:
        sys.exit(f"error: {redact(str(error))}")
    except Exception:  # a bug in the project: print its traceback, redacted, and exit with status 1
        sys.exit(redact(traceback.format_exc()))


def parse(
    parser: argparse.ArgumentParser, *outputs: str, beside: Mapping[str, Callable[[Path], Path]] | None = None
) -> argparse.Namespace:
    """Return the parsed arguments; `outputs` are the names of those that the script writes.

    `beside` has, by name of an argument, what gives the path of a second file that is read or written with each of its
    files. Raises UserError when an output is another argument's file or folder, or lies inside it, or contains it:
    writing it would destroy what the script reads; and for a placed file of another task or system.
    """
    args = parser.parse_args()
    items = [
        (name, item) for name, value in vars(args).items() for item in (value if isinstance(value, list) else [value])
    ]
    given = [
        (name, path)
        for name, item in items
        for path in (item[-1:] if isinstance(item, tuple) else [item])  # of KEY=FILE
        if isinstance(path, Path) and path != Path()  # the library refuses the working directory itself
    ]
    paths = given + [(name, beside[name](path)) for name, path in given if name in (beside or {}) and path.name]
    for name, path in ((name, path) for name, path in paths if name in outputs):
        written = path.resolve()
        for other, read in paths:
            place = read.resolve()
            if (other, read) == (name, path) or other in FOLDERS:
                continue
            if written == place or written.is_relative_to(place) or place.is_relative_to(written):
                flags = " and ".join(f"--{key.replace('_', '-')}" for key in dict.fromkeys((name, other)))
                where = "are the same" if written == place else f"lie one inside the other ({read})"
                if not {(name, path), (other, read)} <= set(given):
                    where = "both need this file"
                raise UserError(f"{path}: {flags} {where}; give the output a place of its own")
    for file in (item for _, item in items if isinstance(item, PlacedFile)):
        file.check(vars(args).get("task"))
    return args


def add_place_flags(parser: argparse.ArgumentParser, *, method: bool = True, required: bool = False) -> None:
    """Add `--task` and, with `method`, `--method`: where in a study the output belongs."""
    note = "" if required else " (default: as the inputs say)"
    parser.add_argument(
        "--task", required=required, help=f"the task's key: recorded in the output, and checked in the inputs{note}"
    )
    if method:
        parser.add_argument(
            "--method", required=required, help=f"the system's key: recorded, and checked in the inputs{note}"
        )


def add_run_flags(parser: argparse.ArgumentParser, seed: int | None = None) -> None:
    """Add `--seed`, `--device` and `--threads`, which every script with a model has; `seed` is the default, if any."""
    group = parser.add_argument_group("run")
    study = section(STUDY)["properties"]
    add_flag(
        group,
        "--seed",
        {**study["seeds"]["items"], "description": "Seed of every random choice.", "default": seed},
        required=seed is None,
    )
    add_flag(group, "--device", study["device"])
    add_flag(group, "--threads", {"description": "CPU threads.", "type": "integer", "minimum": 1, "default": 1})


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a training script: data, outputs, the run's, and sections `text`, `training`, `selection`."""
    parser.add_argument("--train", type=Path, required=True, help="training split, Parquet")
    parser.add_argument("--dev", type=Path, required=True, help="development split, Parquet")
    add_place_flags(parser)
    parser.add_argument("--model", type=Path, required=True, help="folder to write: the trained model")
    parser.add_argument("--history", type=Path, required=True, help="JSON lines to write: the training curve")
    add_run_flags(parser)
    add_flags(parser, "text")
    add_flags(parser, "training")
    add_flags(parser, "selection", prefix="selection-")
    add_metric_options_flag(parser)
    add_resume_flag(parser, "--checkpoints", "checkpoints of the training")
    parser.add_argument(
        "--logging", type=arguments.sinks, default={}, metavar="JSON",
        help=f"{section('logging')['description']} (default: nowhere)",
    )  # fmt: skip
    parser.add_argument(
        "--curves", type=Path, default=Path("curves"), metavar="FOLDER",
        help="folder for the files of --logging (default: curves)",
    )  # fmt: skip
    add_shard_flag(parser)


def add_checkpoint_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of how a pretrained checkpoint is read."""
    for side in ("source", "target"):
        parser.add_argument(
            f"--{side}-language", metavar="CODE", help=f"code of the {side} language, for an mBART checkpoint"
        )
    parser.add_argument(
        "--allow-pickle", action="store_true", help="read a checkpoint without model.safetensors from its pickle"
    )


def add_cache_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--cache`, for scripts that download packages; the rules set its variable, so that no job depends on it."""
    parser.add_argument(
        "--cache",
        type=Path,
        default=os.environ.get("FDISTILL_CACHE", "~/.cache/fdistill"),
        help="folder for downloaded packages (default: $FDISTILL_CACHE, else ~/.cache/fdistill)",
    )


def add_offline_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a script that runs models over a whole split: finished batches, the run's, memory."""
    add_resume_flag(parser, "--shards", "finished batches")
    add_run_flags(parser)
    add_memory_flag(parser)


def add_max_examples_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--max-examples`, for scripts that use a part of a split."""
    parser.add_argument(
        "--max-examples", type=arguments.count, help="inputs, spread evenly over the split (default: all)"
    )


def add_metric_options_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--metric-options`, for scripts that compute metrics."""
    parser.add_argument(
        "--metric-options", type=arguments.metric_options, default={}, metavar="JSON",
        help='options by metric, as {"bleu4": {"lowercase": true}} (default: {})',
    )  # fmt: skip


def add_resume_flag(parser: argparse.ArgumentParser, flag: str, content: str) -> None:
    """Add a flag for the folder from which an interrupted run resumes; `content` says what the folder contains."""
    parser.add_argument(
        flag, type=Path, metavar="FOLDER",
        help=f"folder for {content}, from which an interrupted run resumes; it is deleted at the end (default: "
        "nothing is stored)",
    )  # fmt: skip


def add_memory_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--gpu-memory`, for scripts that make batches as large as memory allows."""
    add_flag(parser, "--gpu-memory", section(STUDY)["properties"]["gpu_memory"])


def add_shard_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--shard-teacher`, for scripts that run a teacher on several GPUs."""
    parser.add_argument(
        "--shard-teacher", action="store_true",
        help="shard the teacher's weights over the ranks (FSDP); use it when they do not fit one GPU",
    )  # fmt: skip


def add_texts_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--texts`, for scripts that show names of tasks and systems to people."""
    parser.add_argument(
        "--texts", type=Path, metavar="FILE",
        help='JSON file with what is shown for a key that is given without a title: {"tasks": {TASK: {"title": TEXT, '
        '"description": TEXT, "stands_for": TEXT}}, "systems": {SYSTEM: TEXT}} (default: the keys are shown)',
    )  # fmt: skip
