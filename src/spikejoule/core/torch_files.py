"""PyTorch files of plain values and tensors, which cannot run code when read.

Equal content gives equal bytes. Files are read with PyTorch's restricted unpickler,
which builds containers and tensors and refuses every other global. The only addition
is NumPy numbers, as `torch.save` writes them when a script stores, say,
`numpy.mean(...)`: they are decoded here, so NumPy's own unpickling never sees bytes of
an untrusted file.
"""

import io
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from warnings import catch_warnings

import numpy as np
import torch

from spikejoule.core.errors import ArtifactError
from spikejoule.core.npz import checked_archive
from spikejoule.core.store import FilePath, write_bytes


def to_plain(value: Any) -> Any:
    """Copy a value as plain Python values and CPU tensors.

    Mappings become dicts, other sequences lists or tuples, NumPy numbers Python
    numbers, and NumPy arrays tensors. The copy shares no objects: the pickler writes a
    reference where it meets one object twice, so sharing would change the bytes.
    Raises TypeError for anything else.
    """
    if isinstance(value, np.generic):
        return to_plain(value.item())
    if isinstance(value, str):
        # Strings are the exception: one object for each text, wherever it came from.
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
    raise TypeError(f"a {type(value).__name__} is not a plain value: {value!r}")


def encode(content: Mapping[str, Any]) -> bytes:
    """Return the bytes of a file that holds `content`, made plain by `to_plain`."""
    # Saved to a file object: saved to a path, the archive would carry the file's name.
    buffer = io.BytesIO()
    torch.save(to_plain(content), buffer)
    return buffer.getvalue()


def write(path: FilePath, content: Mapping[str, Any]) -> None:
    """Write `content` atomically; equal content gives equal bytes."""
    write_bytes(path, encode(content))


def read(path: FilePath) -> dict[str, Any]:
    """Read a dict of plain values and tensors, onto the CPU.

    Raises ArtifactError for a missing or damaged file, one that is not a PyTorch file,
    and one that names any global outside the few allowed; nothing in it is executed.
    """
    # `torch.load` alone does not notice a changed weight.
    with checked_archive(path) as archive:
        stream = archive.fp
        assert stream is not None
        stream.seek(0)
        content = _restricted_load(path, stream)
        if not isinstance(content, dict):
            raise ArtifactError(
                f"{path} must hold a dictionary, but holds a {type(content).__name__}."
            )
        _check_tensors(path, content)
    return content


def _check_tensors(path: FilePath, content: Any) -> None:
    """Refuse a tensor that has more values than are stored.

    With strides of 0 it repeats its values, and a copy may take any amount of memory.
    """
    for tensor in _tensors(content):
        n_stored = tensor.untyped_storage().nbytes() // tensor.element_size()
        if tensor.numel() > n_stored:
            raise ArtifactError(
                f"{path} declares a tensor of {tensor.numel():,} values, and stores "
                f"{n_stored:,}."
            )


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in nested containers."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def _restricted_load(path: FilePath, stream: Any) -> Any:
    try:
        with (
            torch.serialization.safe_globals(_NUMBERS),
            catch_warnings(action="ignore"),
        ):
            return torch.load(stream, map_location="cpu", weights_only=True)
    # Arbitrary bytes make the unpickler raise nearly anything.
    except Exception as error:
        cause = error.__context__ or error
        # Cut PyTorch's advice to load the file unsafely.
        reason = (
            str(cause).partition(" was not an allowed global")[0].partition("\n")[0]
        )
        raise ArtifactError(
            f"{path} cannot be opened safely ({type(cause).__name__}: {reason:.200})."
        ) from error


class _NumberType:
    """Replaces `numpy.dtype` while a file is read."""

    def __init__(self, code: str, *_flags: bool) -> None:
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


def _read_number(number_type: _NumberType, data: bytes) -> Any:
    """Replaces NumPy's reconstruction of a scalar while a file is read."""
    (number,) = np.frombuffer(data, number_type.dtype).tolist()
    return number


_NUMBERS: list[Any] = [
    (_NumberType, "numpy.dtype"),
    (_read_number, "numpy.core.multiarray.scalar"),
    (_read_number, "numpy._core.multiarray.scalar"),
]
"""The globals of a pickled NumPy number, in NumPy 1 and 2, with their replacements."""
