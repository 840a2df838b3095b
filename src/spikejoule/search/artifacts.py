"""Whether the images on disk are those that the pipeline would go on with."""

from collections.abc import Collection
from pathlib import Path

from spikejoule.core.errors import ArtifactError
from spikejoule.tracking.lock import LOCK_FILE, result_of


def check_artifacts(root: Path, files: Collection[Path]) -> None:
    """See that files are what dvc.lock records, of the parameters that params.yaml has.

    Args:
        root: of the project.
        files: relative to it.

    Raises:
        ArtifactError: one line for each that is not; `dvc repro prepare` puts it right.
    """
    result = result_of(root, files)
    problems = result.problems()
    lines = list(problems.values())
    lines += [
        f"{file.path} is not the file that {LOCK_FILE} records: `dvc repro prepare` puts it right."
        for file in result.wrong_files()
        if file.path not in problems and (root / file.path) in {root / one for one in files}
    ]
    if lines:
        raise ArtifactError("\n".join(lines))
