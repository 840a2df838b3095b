"""A pickle that shows whether it was executed."""

import os
from typing import Any

MARK = "executed"


class Pickled:
    """Unpickling it creates a folder `MARK`."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (MARK,)
