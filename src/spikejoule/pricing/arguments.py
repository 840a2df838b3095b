"""Check the arguments of a function against its annotations."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

from pydantic import ConfigDict, ValidationError, validate_call

from spikejoule.core.errors import ParameterError, first_problem

P = ParamSpec("P")
R = TypeVar("R")


def checked(call: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of a function against its annotations.

    The function raises a ParameterError that names the argument and what is allowed.
    """
    config = ConfigDict(arbitrary_types_allowed=True)
    validated: Any = validate_call(config=config)(call)

    @wraps(call)
    def checking(*args: P.args, **kwargs: P.kwargs) -> R:
        arguments: Any = signature(call).bind(*args, **kwargs).arguments
        try:
            result: R = validated(**arguments)
        except ValidationError as error:
            raise ParameterError(f"{first_problem(error)}.") from error
        return result

    return checking
