"""The exception for mistakes that a user can correct, and the words of an error of another kind."""


class UserError(Exception):
    """A mistake that a user can correct: the message says what is wrong, where, and what to do.

    Scripts print the message without a traceback and exit with status 1. Any other exception that escapes is a bug in
    the project and keeps its traceback.
    """


def reason(error: BaseException) -> str:
    """Return the message of an error on one line, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
