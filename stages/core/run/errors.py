"""Errors a user can cause and can put right."""


class UserError(Exception):
    """Names the file or value, says what is wrong and what to do.

    `stages.core.run.stage.stage_entry` prints it as one message without a traceback and exits with code 1.
    """
