"""Downloads MNIST, or a set of its form, with torchvision, in a process of its own.

`python -m` this module `FOLDER`, and the name of the class in `torchvision.datasets`.

A process of its own, because torchvision imports PyTorch, prints, and sets no limit of time: here
an address that never answers ends the attempt within seconds, whatever the network does.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from pathlib import Path

SOCKET_TIMEOUT_SECONDS = 10.0
STALL_SECONDS = 15.0


def main(folder: Path, name: str = "MNIST") -> int:
    """Fill `folder`/`name`/raw, checked by torchvision's checksums; return the exit status.

    The reason of a failure is the last line on the standard error.
    """
    from torchvision import datasets

    socket.setdefaulttimeout(SOCKET_TIMEOUT_SECONDS)
    threading.Thread(target=_end_when_stalled, args=(folder,), daemon=True).start()
    try:
        with (
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            getattr(datasets, name)(str(folder), download=True)
    except Exception as error:  # whatever torchvision raises is the reason of the failure
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 1
    return 0


def _end_when_stalled(folder: Path) -> None:
    # The socket's limit does not cover the look-up of a name, and applies to each address anew.
    size, since = -1, time.monotonic()
    while True:
        new_size = size
        with contextlib.suppress(OSError):  # a file was renamed under our eyes: look again
            new_size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if new_size != size:
            size, since = new_size, time.monotonic()
        elif time.monotonic() - since > STALL_SECONDS:
            os.write(2, f"no byte arrived for {STALL_SECONDS:g} seconds\n".encode())
            os._exit(1)
        time.sleep(0.25)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
