"""The error that is reported to the user without a traceback."""


class UserError(Exception):
    """An error in the user's input; the message says what was read, what was expected and what to do."""
