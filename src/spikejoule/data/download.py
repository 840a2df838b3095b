"""Downloads that leave either a whole and verified file or none."""

import hashlib
import http.client
import logging
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import build_opener

from spikejoule.core.errors import DataError

logger = logging.getLogger(__name__)

SOCKET_TIMEOUT_SECONDS = 15.0
_BLOCK_BYTES = 1 << 20


def md5_of(path: Path) -> str:
    """The MD5 of a file (hexadecimal), as the publishers of data sets state it."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def fetch(url: str, path: Path, md5: str, source: str, advice: str) -> None:
    """Download a file, unless `path` is that file already.

    Args:
        url: where it is.
        path: where it goes; nothing is there before its checksum is found right.
        md5: its checksum.
        source: which `data.source` asks, for messages.
        advice: what to do without a network, a clause.

    Raises:
        DataError: it cannot be had, or is another file; the sentence names the address.
    """
    host = urlsplit(url).netloc
    if urlsplit(url).scheme != "https":
        raise ValueError(f"{url} must be an https address")
    try:
        if path.is_file() and md5_of(path) == md5:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        logger.info("downloading %s from %s", path.name, host)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
            partial = Path(folder) / path.name
            _download(url, partial, source, advice)
            found = md5_of(partial)
            if found != md5:
                raise DataError(
                    f"data.source: {source}: {path.name} from {host} must have the MD5 {md5}, but "
                    f"has {found}; {advice}."
                )
            os.replace(partial, path)
    except OSError as error:
        raise DataError(
            f"data.source: {source} cannot be stored in {path.parent}: {error.strerror or error}."
        ) from error


def open_url(url: str, timeout_seconds: float) -> Any:
    """The answer to a request, through the proxies that the environment names by now.

    `urllib.request.urlopen` would keep the first ones that it found for the whole process.
    """
    return build_opener().open(url, timeout=timeout_seconds)


def _download(url: str, path: Path, source: str, advice: str) -> None:
    try:
        with open_url(url, SOCKET_TIMEOUT_SECONDS) as answer, path.open("wb") as stream:
            while block := answer.read(_BLOCK_BYTES):
                stream.write(block)
    except (URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())
        host = urlsplit(url).netloc
        raise DataError(
            f"data.source: {source} could not be downloaded from {host} ({reason}); {advice}."
        ) from error


def run_download(command: Sequence[str], timeout_seconds: float, source: str, advice: str) -> None:
    """Run a program that downloads; its last line on the standard error is the reason of a failure.

    Raises DataError if it fails, or takes longer.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            env=_environment_with_this_package(os.environ),
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(
            f"data.source: {source} could not be downloaded within {timeout_seconds:g} seconds."
        ) from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason was given"])[-1].rstrip(".")
        raise DataError(f"data.source: {source} could not be downloaded ({reason}); {advice}.")


def _environment_with_this_package(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a child process imports this very copy of the package."""
    here = str(Path(__file__).resolve().parents[2])
    inherited = environment.get("PYTHONPATH")
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join([here, inherited] if inherited else [here]),
    }
