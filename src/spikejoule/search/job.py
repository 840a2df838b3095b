"""The job that submitit starts: a worker, and what becomes of its trial when it has to go.

submitit calls `work` with one argument, which is JSON text, and keeps a pickle of that call in the
job's folder. Nothing comes back that way: what a trial gave is in the study.
"""

import logging
import sys
import threading
from pathlib import Path
from typing import Final

from submitit.helpers import DelayedSubmission

from spikejoule.core.errors import SpikejouleError
from spikejoule.core.store import write_text
from spikejoule.search.study import HandedBackError, hand_back
from spikejoule.search.worker import CURRENT, ERROR_FILE, Worker
from spikejoule.search.worker_arguments import WorkerArguments

logger = logging.getLogger(__name__)

_HAND_BACK_SECONDS: Final = 5.0


def work(text: str) -> None:
    """Run trials until none is left; `text` is that of `WorkerArguments`.

    A SpikejouleError, after which no other worker could do better, is left in the folder of the
    search for its launcher.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = WorkerArguments.of_text(text)
    try:
        Worker(arguments).run()
    except HandedBackError as reason:
        logger.info("%s", reason)
    except SpikejouleError as error:
        write_text(Path(arguments.folder) / ERROR_FILE, f"{error}\n")
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def checkpoint(text: str) -> DelayedSubmission:
    """What submitit calls when the job is about to be preempted, or its time is up.

    The trial goes back into the queue at once; the job, queued again, takes up what is there.
    """
    # In a thread: this one may be in the middle of a conversation with the database.
    thread = threading.Thread(target=_hand_back_current, daemon=True)
    thread.start()
    thread.join(_HAND_BACK_SECONDS)
    return DelayedSubmission(work, text)


work.checkpoint = checkpoint  # type: ignore[attr-defined]


def _hand_back_current() -> None:
    if CURRENT.study is not None:
        hand_back(CURRENT.study, CURRENT.number)
