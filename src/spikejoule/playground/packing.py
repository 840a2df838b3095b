"""Arrays as the scripts unpack them."""

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed(array: NDArray[Any]) -> dict[str, str]:
    """An array as the scripts unpack it: its type in JavaScript, and deflated bytes."""
    name = array.dtype.name.capitalize().replace("int", "Int").replace("UInt", "Uint")
    little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    data = zlib.compress(little_endian.tobytes(), level=9)
    return {"type": f"{name}Array", "data": base64.b64encode(data).decode()}
