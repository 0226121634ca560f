"""The verbs of `unsup-asr`: one module for each family, imported when the verb is called."""


class UsageError(ValueError):
    """The command line asks for what there is not: exit code 2."""
