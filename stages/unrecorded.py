"""What MLflow could not be told is noted, so that the next `dvc repro` tells it.

DVC counts a stage as done when its command ends well, and runs it again when its command has
changed. The number in metrics/unrecorded.json is part of the command of `publish` (see dvc.yaml):
where a run was not recorded it grows. An experiment in a folder of its own lets the number of the
project grow, too, and leaves its name there: the project's next `publish` records both.
"""

import json
import logging
import os
import time
from pathlib import Path

from spikejoule.core.errors import ArtifactError, ParameterError, StoreError
from spikejoule.tracking.project import experiments
from spikejoule.tracking.publish_outputs import publish_revision

logger = logging.getLogger(__name__)

_NUMBER = Path("metrics") / "unrecorded.json"
_KEY = "recording_failures"
_NAMES = Path(".cache") / "unrecorded"
# DVC makes an experiment of what was run in a folder of its own only when all stages have ended.
_PENDING_SECONDS = 600.0


def remember(root: Path) -> None:
    """Note that what the working directory holds is not recorded in the project at `root`.

    Raises OSError, or ValueError if the file with the number is damaged.
    """
    for project in {Path.cwd().resolve(), root}:
        publish_again(project)
    name = os.environ.get("DVC_EXP_NAME")
    if name:
        (root / _NAMES).mkdir(parents=True, exist_ok=True)
        (root / _NAMES / name).touch()


def publish_again(project: Path) -> None:
    """Let the next `dvc repro` in `project` run the stage `publish`; raises as above."""
    # In place and of one length: a full disk has no room for another file.
    with (project / _NUMBER).open("r+", encoding="utf-8") as stream:
        number = int(json.load(stream)[_KEY])
        stream.seek(0)
        stream.write(f'{{"{_KEY}": {number + 1:8}}}\n')
        stream.truncate()


def record_experiments(root: Path) -> bool:
    """Record the experiments that are noted at `root`; whether none is left for another time.

    One that exists no longer, or whose outputs do not, is dropped with a warning.
    """
    notes = sorted((root / _NAMES).glob("*"))
    if not notes:
        return True
    known = {revision.experiment: revision for revision in experiments(root)}
    all_done = True
    for note in notes:
        name, revision = note.name, known.get(note.name)
        try:
            if revision is not None:
                publication = publish_revision(root, revision)
                logger.info("MLflow run %s of experiment %s", publication.run_id, name)
                done = publication.is_complete
            elif done := time.time() - note.stat().st_mtime > _PENDING_SECONDS:
                logger.warning("experiment %s was not recorded, and exists no longer.", name)
        except StoreError:
            return False  # told of the run that is published next
        except (ArtifactError, ParameterError) as error:
            logger.warning("experiment %s cannot be recorded: %s", name, error)
            done = True
        if done:
            note.unlink(missing_ok=True)
        all_done &= done
    return all_done
