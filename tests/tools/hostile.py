"""What a hostile file may hold: a pickle that shows whether it was executed."""

import os
from typing import Any

MARK = "executed"


class Pickled:
    """Where a pickle of it is loaded, a folder `MARK` comes into being."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (MARK,)
