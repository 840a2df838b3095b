"""Errors that a user can cause and repair.

Each message is one sentence that names the thing, its value and what is allowed
(`ParameterError` has one line per problem). The stages and the command line print it
as `error: ...` and exit with 1; any other exception is a bug in this project and keeps
its traceback.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError


def printable(text: str) -> str:
    """Escape the control characters and lone surrogates of a text.

    Text from a file ends up in messages and tables; it must not move the cursor of a
    terminal or fail to print. Line ends stay. The escapes are those of JSON, so text
    within JSON keeps its meaning.
    """
    return re.sub(
        "[^ -~\n]",
        lambda match: (
            match[0] if match[0].isprintable() else json.dumps(match[0])[1:-1]
        ),
        text,
    )


def shown(value: object) -> str:
    """Format a value as YAML would, shortened to 80 characters."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def first_problem(error: ValidationError) -> str:
    """Describe the first problem that pydantic found: its place, value and reason."""
    problem = error.errors(include_url=False)[0]
    # If a field may have one of two types, pydantic adds the type to the place.
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
    """Base class of the errors that a user can cause and repair."""

    def __str__(self) -> str:
        return printable(super().__str__())


class ParameterError(SpikejouleError):
    """A parameter is unknown, missing, of the wrong type, or out of its range."""


class DataError(SpikejouleError):
    """Images, events or labels cannot be obtained or are not valid."""


class ArtifactError(SpikejouleError):
    """A file of another stage is missing, damaged, or does not fit the others."""


class StoreError(SpikejouleError):
    """The MLflow store cannot be read, or lacks what was asked for."""


class LimitError(SpikejouleError):
    """A recorded run exceeds the energy limit or misses the accuracy limit."""


class ClusterError(SpikejouleError):
    """Jobs cannot be started, or end without any result."""


def check(
    path: object, problem: str, error_type: type[SpikejouleError] = ArtifactError
) -> None:
    """Raise an error that names a file and its problem, unless that is empty."""
    if problem:
        advice = ": write it again" if error_type is ArtifactError else ""
        raise error_type(f"{path}: {problem}{advice}.")


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn PyTorch's out-of-memory errors, which are RuntimeErrors, to MemoryErrors."""
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
    """Turn any exception of a user's own code into a ParameterError.

    The message says what failed and why. A `SpikejouleError` passes unchanged.
    """
    try:
        yield
    except SpikejouleError:
        raise
    except Exception as error:
        raise ParameterError(f"{what} fails ({in_brief(error)}).") from error


def in_brief(error: Exception) -> str:
    """Return the first line of an error, with the class of an error of others."""
    line = str(error).strip().partition("\n")[0]
    if isinstance(error, SpikejouleError):
        return line.rstrip(".")
    return f"{type(error).__name__}: {line}"
