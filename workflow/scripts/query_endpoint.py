"""Ask a model behind an OpenAI-compatible endpoint for its outputs of a prepared split; write them as JSON lines.

A row of the file is one output: `id` of the input, `text`, `finished`, and with --log-probs also `tokens`, `log_probs`
and `top_log_probs`, in nats. Answers are stored as they arrive in OUTPUT.answers.jsonl, from which an interrupted run
goes on. OUTPUT.record.json says what was asked for, who answered, and what it cost.
"""

import argparse
import logging
from contextlib import closing
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import read_parquet, sha256, write_json
from fdistill.config import arguments, cli
from fdistill.config.schema_flags import add_flag
from fdistill.data.encoding import rows_of
from fdistill.data.schemas import SPLIT
from fdistill.runtime.errors import UserError
from fdistill.runtime.redaction import is_secret_name
from fdistill.runtime.value_schemas import Schema
from fdistill.sampling.endpoint.asking import Asking, Pace, missing, remedy
from fdistill.sampling.endpoint.client import Client, checked_url, read_key
from fdistill.sampling.endpoint.output_file import check_own, write_outputs
from fdistill.sampling.endpoint.query import APIS, SOURCE, Query
from fdistill.sampling.endpoint.record import Prices, record_of
from fdistill.sampling.endpoint.store import AnswerStore

log = logging.getLogger(__name__)

SETTINGS = {  # of a request, by the name that both interfaces have for it
    "temperature": {
        "description": "Of sampling; 0 takes the likeliest token.",
        "type": ["number", "null"], "minimum": 0, "maximum": 2, "default": 0.0,
    },
    "top_p": {
        "description": "Probability of the likeliest tokens that are sampled from.",
        "type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1, "default": None,
    },
    "max_tokens": {
        "description": "Longest output.", "type": ["integer", "null"], "minimum": 1, "maximum": 1_000_000,
        "default": None,
    },
}  # fmt: skip
ENDPOINT = {  # what the run needs to know of it
    "concurrency": {
        "description": "Requests at a time.", "type": "integer", "minimum": 1, "maximum": 10_000, "default": 8,
    },
    "retries": {
        "description": "Repetitions of a request that has failed, after 1 s, 2 s, ... or as the endpoint asks.",
        "type": "integer", "minimum": 0, "maximum": 100, "default": 6,
    },
    "timeout": {
        "description": "Seconds until a request without an answer has failed.",
        "type": "integer", "minimum": 1, "maximum": 86_400, "default": 120,
    },
    "input_price": {
        "description": "Price of a million input tokens.", "type": ["number", "null"], "minimum": 0, "default": None,
    },
    "output_price": {
        "description": "Price of a million output tokens.", "type": ["number", "null"], "minimum": 0, "default": None,
    },
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, required=True, help="prepared split, Parquet")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines to write")
    cli.add_max_examples_flag(parser)
    parser.add_argument(
        "--leave-out-missing", action="store_true",
        help="write the file without outputs that the endpoint refuses (default: write nothing and fail)",
    )  # fmt: skip
    _add_endpoint_flags(parser)
    _add_query_flags(parser)
    args = cli.parse(parser, "output", beside={"output": answers_beside})
    for client in ("httpx2", "httpcore2"):
        logging.getLogger(client).setLevel(logging.WARNING)  # a line for each request

    query = _query(args)
    address = f"{checked_url(args.url)}/{APIS[query.api].path}"
    prices = Prices(args.input_price, args.output_price)
    split, _ = read_parquet(args.split, SPLIT)
    ids, sources = split["id"], split["source"]
    if not ids:
        raise UserError(f"{args.split}: has no rows, so there is nothing to ask for")
    wanted = {ids[row]: sources[row] for row in rows_of(len(ids), args.max_examples)}
    if (key := read_key(args.key_variable)) is None:
        log.info("%s is not set: requests have no key", args.key_variable)
    client = Client(address, key, args.timeout)
    identity = {"split": sha256(args.split), **vars(query)}
    with closing(AnswerStore(answers_beside(args.output), identity, address)) as store:
        pace = Pace(args.outputs, args.per_request or args.outputs, args.concurrency, args.retries)
        check_own(args.output, store, dict(zip(ids, sources, strict=True)))
        given_up = Asking(client, query, store, pace, lambda: prices.cost(store)).run(wanted)
        answered = {row: source for row, source in wanted.items() if store.counts[row]}
        refused = [row for row, fault in given_up.items() if fault.is_of_row]
        if given_up and not (args.leave_out_missing and answered and len(refused) == len(given_up)):
            leave_out = "; or leave out those that it refuses: --leave-out-missing" if refused else ""
            some = sum(row in answered for row in given_up)
            raise UserError(
                f"{args.output}: is not written, {missing(given_up, len(wanted), some)}. The other answers are kept in "
                f"{store.path}; run again to ask for these again{remedy(*given_up.values())}{leave_out}"
            )
        written = write_outputs(args.output, store, answered, args.outputs)
        about = {
            "split": {"file": str(args.split), "sha256": identity["split"], "rows": len(wanted)},
            **written,
            "missing": {row: str(fault) for row, fault in given_up.items() if row not in answered},
            "incomplete": {row: str(fault) for row, fault in given_up.items() if row in answered},
        }
        write_json(record_beside(args.output), record_of(query, store, prices, about))
        if len(store.models) > 1:
            log.warning("several models have answered: %s", ", ".join(store.models))
        if written["thinking"]:
            log.warning("%d outputs contain what the model thinks; see docs/endpoints.md", written["thinking"])
    log.info("%s: %s", args.output, ", ".join(f"{name} {count}" for name, count in written.items()))


def answers_beside(output: Path) -> Path:
    return output.with_name(f"{output.name}.answers.jsonl")


def record_beside(output: Path) -> Path:
    return output.with_name(f"{output.name}.record.json")


def _add_endpoint_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("endpoint")
    group.add_argument("--url", required=True, help="its address, as http://localhost:8000/v1")
    group.add_argument("--model", required=True, help="name of the model there")
    group.add_argument("--api", choices=APIS, default="chat", help="its interface (default: chat)")
    group.add_argument(
        "--key-variable", type=_secret_name, default="OPENAI_API_KEY", metavar="NAME",
        help="environment variable with the key, which may be missing (default: OPENAI_API_KEY)",
    )  # fmt: skip
    _add_flags(group, ENDPOINT)


def _add_query_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("request")
    group.add_argument("--prompt", default=SOURCE, help=f"{SOURCE} stands for the input (default: {SOURCE})")
    group.add_argument("--system", help="instruction before the prompt, with --api chat (default: none)")
    _add_flags(group, SETTINGS)
    group.add_argument("--seed", type=arguments.seed, help="of sampling, if the endpoint has it (default: none)")
    group.add_argument("--outputs", type=arguments.count, default=1, help="outputs per input (default: 1)")
    group.add_argument(
        "--per-request", type=arguments.count, metavar="COUNT",
        help="outputs that a request asks for; 1 where the endpoint does not know n (default: all)",
    )  # fmt: skip
    group.add_argument(
        "--log-probs", type=arguments.count, metavar="COUNT",
        help="log-probabilities of so many tokens at each position, if the endpoint offers them (default: none)",
    )  # fmt: skip
    group.add_argument(
        "--extra", type=arguments.json_mapping, default={}, metavar="JSON",
        help='further keys of a request, as {"top_k": 50} (default: {})',
    )  # fmt: skip


def _add_flags(group: Any, schemas: dict[str, Schema]) -> None:
    for name, schema in schemas.items():
        add_flag(group, f"--{name.replace('_', '-')}", schema)


def _secret_name(text: str) -> str:
    if not is_secret_name(text):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no name by which logs know what to hide; choose one such as MY_API_KEY"
        )
    return text


def _query(args: argparse.Namespace) -> Query:
    settings = {name: getattr(args, name) for name in SETTINGS if getattr(args, name) is not None}
    if taken := [name for name in args.extra if name in SETTINGS]:
        raise UserError(f"--extra: {', '.join(taken)}: has a flag of its own; use it, and leave it out")
    if args.outputs > 1 and settings.get("temperature") == 0:
        raise UserError("--outputs: with --temperature 0 all outputs of an input are the same; raise the temperature")
    return Query(args.api, args.model, args.prompt, args.system, settings | args.extra, args.seed, args.log_probs)


if __name__ == "__main__":
    cli.run(main)
