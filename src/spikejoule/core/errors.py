"""Errors that a user can cause and repair.

Each message is one clear sentence that names the thing, its value and what is allowed
(`ParameterError` has one line for each problem). The stages and the command line print
it as `error: ...` and exit with 1; any other exception is a defect of this project and
keeps its traceback.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError


def printable(text: str) -> str:
    """A text as a terminal may show it: control characters and halves of characters
    escaped.

    What a file says reaches messages and tables; it must not move the cursor or fail to
    print. Ends of lines stay, and the escapes are JSON's: a text in JSON holds the same
    afterwards.
    """
    return re.sub(
        "[^ -~\n]",
        lambda one: one[0] if one[0].isprintable() else json.dumps(one[0])[1:-1],
        text,
    )


def shown(value: object) -> str:
    """A value as YAML would show it, shortened."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, in words, with its place and its value."""
    problem = error.errors(include_url=False)[0]
    # If a field may have one of two types, pydantic also names the type.
    place = ".".join(str(part) for part in problem["loc"] if "[" not in str(part))
    if problem["type"] == "missing":
        return f"{place} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{place} is unknown"
    if problem["type"] == "value_error":
        reason = problem["msg"].removeprefix("Value error, ")
        return f"{place}: {reason}" if place else reason
    reason = re.sub("^(Input|String) should", "must", problem["msg"])
    return f"{place} is {shown(problem['input'])}, but {reason}"


class SpikejouleError(Exception):
    """Base of every error that a user can cause and repair."""

    def __str__(self) -> str:
        return printable(super().__str__())


class ParameterError(SpikejouleError):
    """A parameter is unknown, missing, of the wrong type, or out of its range."""


class DataError(SpikejouleError):
    """The images or labels cannot be had, or are not what they should be."""


class ArtifactError(SpikejouleError):
    """A file that another stage wrote is missing, damaged, or does not fit the
    others.
    """


class StoreError(SpikejouleError):
    """The MLflow store cannot be read, or does not hold what is asked of it."""


class LimitError(SpikejouleError):
    """A recorded run needs more energy, or answers worse, than its project allows."""


class ClusterError(SpikejouleError):
    """Jobs cannot be started, or end without having worked."""


def check(
    path: object, problem: str, error_type: type[SpikejouleError] = ArtifactError
) -> None:
    """Raise an error that names a file and what is wrong with it, unless that is an
    empty text.
    """
    if problem:
        advice = ": write it again" if error_type is ArtifactError else ""
        raise error_type(f"{path}: {problem}{advice}.")


@contextmanager
def memory_errors() -> Iterator[None]:
    """PyTorch's own errors for a lack of memory, RuntimeErrors, become MemoryErrors."""
    try:
        yield
    except RuntimeError as error:
        _, allocator, request = str(error).partition("DefaultCPUAllocator: ")
        if allocator or type(error).__name__ == "OutOfMemoryError":  # of a GPU
            reason = (request or str(error)).partition("\n")[0]
            raise MemoryError(reason) from error
        raise


@contextmanager
def in_one_sentence(what: str) -> Iterator[None]:
    """Whatever a user's own code, or a library that runs it, raises inside: as a
    ParameterError that says what fails, and why. Errors of this project say so already.
    """
    try:
        yield
    except SpikejouleError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ParameterError(
            f"{what} fails ({type(error).__name__}: {reason})."
        ) from error
