"""The error that a user can cause and can put right."""


class UserError(Exception):
    """Names the file or value, says what is wrong and what to do.

    Stages and verbs print it as one message without a traceback and exit with code 1.
    """
