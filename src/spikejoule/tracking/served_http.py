"""How `mlflow models serve` answers a request for one of this project's models.

MLflow's own reading of a request leaves a model no say in what matters here. The text is parsed
before the model is asked (deep nesting ends in a bare 500; a long text fills the memory), the lists
are copied element by element (nine tenths of the time), and parameters that the signature lacks are
dropped. The one place before all that is the function `invocations` of MLflow's scoring server, the
public name under which the server looks it up for each request; in the server's process it is
replaced by the one below. The server, its threads, time limit and form of errors remain MLflow's.
"""

import gc
import inspect
import json
import sys
from threading import Lock
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.scoring_server import InvocationsResponse

from spikejoule.core.errors import SpikejouleError
from spikejoule.tracking.served_request import read_request

_SERVER = "mlflow.pyfunc.scoring_server"
# A text as Python's objects is many times its length: one at a time, however many clients ask.
# Nothing is lost, as reading holds Python's own lock.
_reading = Lock()
# A thousand images as lists of rows are 29,000 lists.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000


def take_over_server() -> None:
    """Let MLflow's scoring server answer by `invocations`, if this process is such a server.

    Raises MlflowException for a version of MLflow whose server works otherwise.
    """
    if f"{_SERVER}.app" not in sys.modules:
        return
    server = sys.modules[_SERVER]
    theirs = getattr(server, "invocations", None)
    ours = inspect.signature(invocations).parameters
    if theirs is None or list(inspect.signature(theirs).parameters) != list(ours):
        raise MlflowException(
            "this version of MLflow serves models otherwise than this model knows; install the "
            "versions in the model's requirements.txt."
        )
    server.invocations = invocations  # type: ignore[attr-defined]
    # What is loaded by now stays, and a request's lists hold no cycles: by default they would make
    # Python look for garbage dozens of times a request, now and then among all that is loaded.
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)


def invocations(
    data: bytes, content_type: str | None, model: PyFuncModel, input_schema: Any
) -> InvocationsResponse:
    """Answer the body of a POST to /invocations.

    Raises MlflowException, which the server makes a 400 of, for a request that is not allowed.
    """
    if (content_type or "").partition(";")[0].strip().lower() != "application/json":
        said = f"Content-Type: {content_type} is not allowed; allowed: application/json"
        return InvocationsResponse(said, 415, "text/plain")
    defaults = {param.name: param.default for param in model.metadata.signature.params}
    served = model.unwrap_python_model()  # type: ignore[no-untyped-call]
    try:
        with _reading:
            request = read_request(data, defaults)
            images = served.read_images(request.inputs)
            question = request.params
            del request  # its lists, before the next request is read
    except SpikejouleError as error:
        raise MlflowException.invalid_parameter_value(str(error)) from error
    rows = model.predict(images, params=question.model_dump())
    text = json.dumps({"predictions": rows.to_dict("records")})  # type: ignore[attr-defined]
    return InvocationsResponse(text, 200, "application/json")
