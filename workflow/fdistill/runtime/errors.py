"""The one exception that is shown to people."""


class UserError(Exception):
    """Something the user can put right: the message says what is wrong, where, and what to do.

    Scripts print the message without a traceback and exit with status 1; anything else that
    escapes is a bug in the project and keeps its traceback.
    """
