"""Files that are refused."""

from collections.abc import Callable
from typing import Any

import pytest

from spikejoule.core.errors import SpikejouleError


def refusal(read: Callable[[Any], Any], path: Any) -> str:
    """Return the sentence with which `read` refuses a file; it names the file."""
    with pytest.raises(SpikejouleError) as error:
        read(path)
    text = str(error.value)
    assert text.endswith(".")
    assert text.isprintable()
    assert str(path) in text or not str(path).isprintable()
    return text
