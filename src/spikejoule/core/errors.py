"""Errors that a user can cause and repair.

Each message is one clear sentence that names the thing, its value and what is allowed
(`ParameterError` has one line for each problem). The stages and the command line print it as
`error: ...` and exit with 1; any other exception is a defect of this project and keeps its
traceback.
"""


def printable(text: str) -> str:
    """A text as a terminal may show it: control characters and halves of characters escaped.

    What a file says reaches messages and tables; it must not move the cursor or fail to print.
    Ends of lines stay.
    """
    if all(character.isprintable() or character == "\n" for character in text):
        return text
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


class SpikejouleError(Exception):
    """Base of every error that a user can cause and repair."""

    def __str__(self) -> str:
        return printable(super().__str__())


class ParameterError(SpikejouleError):
    """A parameter is unknown, missing, of the wrong type, or out of its range."""


class DataError(SpikejouleError):
    """The images or labels cannot be had, or are not what they should be."""


class ArtifactError(SpikejouleError):
    """A file that another stage wrote is missing, damaged, or does not fit the others."""


class StoreError(SpikejouleError):
    """The MLflow store cannot be read, or does not hold what is asked of it."""


class LimitError(SpikejouleError):
    """A recorded run needs more energy, or answers worse, than its project allows."""


class ClusterError(SpikejouleError):
    """Jobs cannot be started, or end without having worked."""
