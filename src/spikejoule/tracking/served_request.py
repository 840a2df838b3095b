"""What a served model may be asked, as types: whatever else is sent is refused in one sentence."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.types import FailFast
from pydantic_core import from_json

from spikejoule.core.errors import DataError, ParameterError
from spikejoule.core.parameter_problems import problem_lines

MAX_IMAGES = 10_000
"""Images of one request."""
MAX_BYTES = 40 * 2**20
"""Length of one request: that of `MAX_IMAGES` images of 28 x 28 white pixels as lists, and a bit.

A hostile text of this length, such as tiny objects by the million, becomes a gigabyte in Python.
"""

_Index = Annotated[int, Field(ge=0, lt=2**63)]


class Question(BaseModel):
    """How images are to be answered.

    Attributes:
        profile: id of the hardware profile that prices the operations.
        seed: of what the encoding draws, 0 to 2^32 - 1.
        indices: position of each image within its data set, [N]; none for 0, 1, 2 and so on. A
            test image at its own position has the spikes that the pipeline counted. An image that
            is sent twice may have one position twice.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    profile: str
    seed: int = Field(ge=0, lt=2**32, description="a whole number from 0 to 4294967295")
    indices: Annotated[list[_Index], FailFast()] = Field(
        [], description="a list of whole numbers from 0 to 9223372036854775807, one per image"
    )


class _Asked(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    params: Question


class Request(_Asked):
    """A request: `inputs`, the images as `read_images` takes them, and the question."""

    inputs: list[Any] = Field(
        min_length=1, max_length=MAX_IMAGES, description=f"a list of 1 to {MAX_IMAGES:,} images"
    )


_Model = TypeVar("_Model", bound=BaseModel)


def read_question(params: Mapping[str, Any]) -> Question:
    """Check the parameters of a call; raises ParameterError."""
    return _checked(_Asked, {"params": params}).params


def read_request(body: bytes, defaults: Mapping[str, Any]) -> Request:
    """Read the JSON text of a request.

    Args:
        body: an object with `inputs` (or `instances`, as TensorFlow Serving calls them) and, if
            need be, `params`.
        defaults: the parameters that a request may leave out.

    Raises:
        DataError: the text is too long, no JSON, nested too deep, or no object.
        ParameterError: a key is unknown, missing, or has a value that is not allowed.
    """
    if len(body) > MAX_BYTES:
        raise DataError(
            f"the request has {len(body):,} bytes; allowed are at most {MAX_BYTES:,} bytes and "
            f"{MAX_IMAGES:,} images."
        )
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise DataError(
            f"the request cannot be read as JSON ({error}); allowed is an object with the keys "
            "inputs and params."
        ) from None
    if not isinstance(content, dict):
        raise DataError(
            f"the request is a {type(content).__name__}; allowed is an object with the keys inputs "
            "and params."
        )
    if "inputs" not in content and "instances" in content:
        content["inputs"] = content.pop("instances")
    params = content.get("params", {})
    content["params"] = {**defaults, **params} if isinstance(params, dict) else params
    return _checked(Request, content)


def _checked(model: type[_Model], content: Mapping[str, Any]) -> _Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ParameterError(problem_lines(error.errors()[:1], content, model)[0]) from None
