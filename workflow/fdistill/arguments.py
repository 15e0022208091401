"""Argument types that several scripts share."""

import argparse


def pair(text: str) -> tuple[str, str]:
    """`KEY=VALUE` as a tuple, for `argparse`; the value may have further equals signs."""
    key, _, value = text.partition("=")
    if not (key and value):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form KEY=VALUE")
    return key, value
