"""HTTP server of one version of the model; `spikejoule serve` runs it as a script.

It runs in a process of its own and imports nothing of this package, so that a version
answers by the code beside its weights. `mlflow models serve` gives the same answers,
but reads requests of any length and quotes tracebacks.

A request that is not allowed gets one sentence, as plain text.
"""

import json
import sys
from typing import Any, Final

import mlflow.pyfunc
import numpy as np
import uvicorn
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

HOST: Final = "127.0.0.1"
JSON: Final = "application/json"
IMAGES: Final = ("inputs", "instances")
MAX_BYTES: Final = 64 * 2**20
"""Limit on the body of a request: 10,000 images of 784 numbers take up to 39 MB."""


def server_of(model: PyFuncModel) -> Starlette:
    """Return the application: GET /ping, and POST /invocations."""

    async def ping(request: Request) -> Response:
        return Response("\n", media_type=JSON)

    async def invocations(request: Request) -> Response:
        media_type = request.headers.get("content-type", "").partition(";")[0]
        if media_type.strip().lower() != JSON:
            raise HTTPException(415, f"the content type must be {JSON}.")
        body = await _body(request)
        answer = await run_in_threadpool(answer_to, body, model)
        return Response(answer, media_type=JSON)

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/invocations", invocations, methods=["POST"]),
        ]
    )


async def _body(request: Request) -> bytes:
    """Read the body, and stop as soon as it is too long."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_BYTES:
                raise HTTPException(
                    413, f"the request is too long; allowed are {MAX_BYTES:,} bytes."
                )
    except ClientDisconnect:
        raise HTTPException(400, "the request is not complete.") from None
    return bytes(body)


def answer_to(body: bytes, model: PyFuncModel) -> str:
    """Answer a request.

    Args:
        body: a JSON object with the images as `inputs` or as `instances`, and, if
            wanted, `params`.
        model: the version.

    Returns:
        a JSON object whose `predictions` has an object for each image.

    Raises:
        HTTPException: the request is not allowed.
    """
    try:
        request = json.loads(body)
    except RecursionError:
        raise HTTPException(400, "the JSON is nested too deeply.") from None
    except ValueError as error:
        raise HTTPException(400, f"the request is not valid JSON: {error}.") from None
    images, params = _parts_of(request, model)
    try:
        rows: Any = model.predict(np.array(images, dtype=object), params=params)
    except MlflowException as error:
        raise HTTPException(400, " ".join(error.message.split())[:500]) from None
    return json.dumps({"predictions": rows.to_dict("records")})


def _parts_of(request: Any, model: PyFuncModel) -> tuple[Any, dict[str, Any]]:
    """Return the images and the parameters of a request."""
    images = {}
    if isinstance(request, dict):
        images = {name: request[name] for name in IMAGES if name in request}
    if len(images) != 1:
        raise HTTPException(
            400, "the request must be a JSON object with `inputs` or `instances`."
        )
    metadata: Any = model.metadata  # its methods are not annotated
    allowed = {parameter.name for parameter in metadata.get_params_schema()}
    params = request.get("params", {})
    if not isinstance(params, dict) or params.keys() - allowed:
        raise HTTPException(
            400, f"`params` must be an object; allowed: {', '.join(sorted(allowed))}."
        )
    if not all(map(_is_flat, params.values())):
        # MLflow's own checks fail on arrays of many dimensions.
        raise HTTPException(400, "`params` must hold numbers, texts or lists of them.")
    return images.popitem()[1], params


def _is_flat(value: Any) -> bool:
    """Whether a parameter is no object, and no list of lists or objects."""
    items = value if isinstance(value, list) else [value]
    return not any(isinstance(item, list | dict) for item in items)


if __name__ == "__main__":
    folder, port = sys.argv[1:]
    model = mlflow.pyfunc.load_model(folder)
    uvicorn.run(server_of(model), host=HOST, port=int(port))
