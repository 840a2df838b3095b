"""Errors of a store in one sentence that shows no password.

An address may hold a password, and libraries quote addresses in their own words, also
in parts. So no address is shown, and of the libraries' texts only those of the system
and of SQLite, which know no address.
"""

import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from spikejoule.core.errors import SpikejouleError, StoreError

# Words of a message that may hold a password or a token: addresses, users with a host,
# settings.
_MAY_BE_SECRET = re.compile(r"://|@|\w=")


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turn errors of a server, a database or a disk into a StoreError of one sentence.

    The sentence begins with `what`. An error of this project stays as it is.
    """
    try:
        yield
    except SpikejouleError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "mlflow":
            raise  # MLflow is not installed: no problem of the store
        raise StoreError(f"{what} ({kind_of_failure(error)}).") from error


def kind_of_failure(error: BaseException) -> str:
    """Describe an error of a store in fixed words."""
    cause = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    if isinstance(cause, socket.gaierror):  # its numbers are not the system's
        return "the host's name is not known"
    if isinstance(cause, OSError) and cause.errno:
        place = f": {cause.filename}" if cause.filename else ""
        return without_passwords(f"{os.strerror(cause.errno)}{place}")
    if isinstance(cause, sqlite3.Error):
        return in_one_line(cause)
    # MLflow's own code of an error, such as RESOURCE_DOES_NOT_EXIST.
    code = getattr(error, "error_code", None)
    return f"{type(cause).__name__}, {code}" if code else type(cause).__name__


def in_one_line(error: BaseException) -> str:
    """Describe an error in a short line without words that may hold a password."""
    return without_passwords(str(error))[:300].rstrip(". ") or type(error).__name__


def without_passwords(text: str) -> str:
    """Put a message on one line, without words that may hold a password."""
    return " ".join(
        "***" if _MAY_BE_SECRET.search(word) else word for word in text.split()
    )
