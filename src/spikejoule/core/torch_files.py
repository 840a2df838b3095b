"""Files in PyTorch's zip format that hold plain values and tensors, and nothing that
can run code.

Written with the same bytes for the same content; read with PyTorch's restricted
unpickler, which builds containers and tensors and refuses every other global. The only
addition is NumPy numbers, as `torch.save` writes them when a script stores, say,
`numpy.mean(...)`: they are decoded here, so that NumPy's own unpickling never meets
bytes of an untrusted file.
"""

import io
import sys
from collections.abc import Mapping
from typing import Any
from warnings import catch_warnings

import numpy as np
import torch

from spikejoule.core.errors import ArtifactError
from spikejoule.core.npz import check_archive, opened_archive
from spikejoule.core.store import FilePath, write_bytes


def to_plain(value: Any) -> Any:
    """A copy of `value` that consists of plain Python values and CPU tensors alone.

    Mappings become dicts, other sequences lists or tuples, NumPy numbers Python
    numbers, and NumPy arrays tensors. Nothing in the copy is shared: equal content then
    gives equal bytes, because the pickler writes a reference where it meets one object
    twice. Raises TypeError for anything else.
    """
    if isinstance(value, np.generic):
        return to_plain(value.item())
    if isinstance(value, str):
        # Strings are the exception: one object for each text, whichever way it came
        # about.
        return sys.intern(str(value))
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().contiguous().clone()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value, order="C"))
    if isinstance(value, Mapping):
        return {to_plain(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = [to_plain(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    raise TypeError(f"a {type(value).__name__} is no plain value: {value!r}")


def encode(content: Mapping[str, Any]) -> bytes:
    """The bytes of a file that holds `content`, made plain by `to_plain`."""
    # Saved to a file object: saved to a path, the archive would carry the file's name.
    buffer = io.BytesIO()
    torch.save(to_plain(content), buffer)
    return buffer.getvalue()


def write(path: FilePath, content: Mapping[str, Any]) -> None:
    """Write `content` atomically; equal content gives equal bytes."""
    write_bytes(path, encode(content))


def read(path: FilePath) -> dict[str, Any]:
    """Read a file that holds a dict of plain values and tensors, on the CPU.

    A missing, truncated or corrupt file, one that is no PyTorch file, and one that
    names any global outside the allowed few raise ArtifactError; nothing in the file is
    ever executed.
    """
    with opened_archive(path) as archive:
        # `torch.load` alone does not notice a changed weight.
        check_archive(archive)
        stream = archive.fp
        assert stream is not None
        stream.seek(0)
        try:
            with (
                torch.serialization.safe_globals(_NUMBERS),
                catch_warnings(action="ignore"),
            ):
                content = torch.load(stream, map_location="cpu", weights_only=True)
        # Arbitrary bytes make the unpickler raise nearly anything, from EOFError to
        # KeyError.
        except Exception as error:
            cause = error.__context__ or error
            # Without PyTorch's advice to load the file unsafely.
            reason = (
                str(cause).partition(" was not an allowed global")[0].partition("\n")[0]
            )
            raise ArtifactError(
                f"{path} cannot be opened safely ({type(cause).__name__}: "
                f"{reason:.200})."
            ) from error
    if not isinstance(content, dict):
        raise ArtifactError(
            f"{path} must hold a dictionary, but holds a {type(content).__name__}."
        )
    return content


class _NumberType:
    """Stands in for `numpy.dtype` while a file is read."""

    def __init__(self, code: str, *_flags: bool) -> None:
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


def _read_number(number_type: _NumberType, data: bytes) -> Any:
    """Stands in for NumPy's reconstruction of a scalar while a file is read."""
    (number,) = np.frombuffer(data, number_type.dtype).tolist()
    return number


_NUMBERS: list[Any] = [
    (_NumberType, "numpy.dtype"),
    (_read_number, "numpy.core.multiarray.scalar"),
    (_read_number, "numpy._core.multiarray.scalar"),
]
"""The globals that a pickled NumPy number names, in NumPy 1 and 2, with their
stand-ins.
"""
