"""Objects in Python files of users, named as FILE.py:NAME on the command line."""

import sys
from pathlib import Path
from runpy import run_path
from typing import Any

from spikejoule.core.errors import ParameterError, in_one_sentence


def named_object(text: str, option: str, allowed: str) -> Any:
    """Run a user's file and return the object that ``FILE.py:NAME`` names in it.

    Args:
        text: file and name.
        option: the command-line option, for messages.
        allowed: what the option takes, for messages.

    Raises:
        ParameterError: there is no such file or name, or the file fails.
    """
    file, _, name = text.rpartition(":")
    if not file.endswith(".py") or not Path(file).is_file():
        raise ParameterError(
            f"{option} is {text!r}; allowed is {allowed}, of a file here"
        )
    # The file may import modules from its own folder.
    sys.path.insert(0, str(Path(file).resolve().parent))
    with in_one_sentence(f"{option} {text}"):
        defined = run_path(file)
        if name not in defined:
            raise NameError(f"{file} has no {name}")
        return defined[name]
