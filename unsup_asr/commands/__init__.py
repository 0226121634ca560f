"""The verbs of `unsup-asr`: one module for each family, imported when the verb is called."""

from pathlib import Path

USUAL_EXP = "exp"  # of --exp


class UsageError(ValueError):
    """The command line asks for what there is not: exit code 2."""


def folder_named(path: str | Path, expected: str) -> Path:
    """A folder that the command line names and that must be there; UsageError where it is not."""
    folder = Path(path)
    if folder.is_dir():
        return folder
    what = "is a file, not a folder" if folder.exists() else "no such folder"
    raise UsageError(f"{folder}: {what}; expected {expected}")


def experiment_root(exp: str | Path, recipe: str) -> Path:
    """The folder of a recipe's stages, which need not be there yet: UsageError for a file in its
    place, and for a folder of experiments that is not there, unless it is the usual one.
    """
    root = Path(exp) / recipe
    if str(exp) != USUAL_EXP:
        folder_named(exp, "a folder of experiments, as `unsup-asr run --exp` makes it")
    return folder_named(root, "the folder of a recipe's stages") if root.exists() else root
