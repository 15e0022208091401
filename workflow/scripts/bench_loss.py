"""Measure time and memory of the loss alone, this project's and those of baselines, as the positions grow."""

import argparse

from fdistill.bench import command, losses, report
from fdistill.bench.machine import machine
from fdistill.bench.steps import check_methods, with_on_policy
from fdistill.config import arguments, cli
from fdistill.runtime.device import set_up_device


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--methods", type=arguments.terms_by_method, required=True, metavar="JSON",
        help='terms by method, {"js": [...], "tvd": [...]}; generalised JS on student samples is added',
    )  # fmt: skip
    parser.add_argument(
        "--positions", type=arguments.count, nargs="+", default=[1024, 2048, 4096], metavar="INT",
        help="numbers of target positions in a batch, over all its sequences (default: 1024 2048 4096)",
    )  # fmt: skip
    parser.add_argument(
        "--width",
        type=arguments.count,
        help="width of hidden states (default: 1024, BART-large's, on a GPU, and 64 on a CPU)",
    )
    parser.add_argument(
        "--vocabulary", type=arguments.count, default=50265, help="size of the vocabulary (default: 50265, BART's)"
    )
    command.add_flags(parser, repeats=3)
    args = cli.parse(parser, "json", "table")
    device = set_up_device(args.device, args.threads)
    check_methods(args.methods)
    width = args.width or (1024 if device == "cuda" else 64)
    measured = []
    for method, terms in with_on_policy(args.methods).items():
        for positions in args.positions:
            sizes = (positions, width, args.vocabulary)
            compared = losses.compare(method, terms, *sizes, args.repeats, device, args.seed)
            measured.append({"method": method, "positions": positions, **compared})
    where = machine(device, args.threads)
    sizes = {"vocabulary": args.vocabulary, "width": width, "repeats": args.repeats}
    content = {"measured": measured, "sizes": sizes, "machine": where}
    command.write(args, content, report.loss_table(measured, sizes, where))


if __name__ == "__main__":
    cli.run(main)
