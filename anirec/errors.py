"""The one error that a user sees without a traceback."""


class UserError(Exception):
    """What was read, what was expected, and what to do next, in the user's words."""
