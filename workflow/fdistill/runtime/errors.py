"""The exception for mistakes that a user can correct."""


class UserError(Exception):
    """A mistake that a user can correct: the message says what is wrong, where, and what to do.

    Scripts print the message without a traceback and exit with status 1. Any other exception that escapes is a bug in
    the project and keeps its traceback.
    """
