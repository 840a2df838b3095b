"""From a version of the model to the commit with its code, data and parameters, and back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikejoule.core.errors import StoreError
from spikejoule.core.text import Rows, number, render
from spikejoule.tracking import Store
from spikejoule.tracking.project import Revision, records_in_workspace, revisions_recording
from spikejoule.tracking.registry import (
    ACCURACY_TAG,
    MD5_TAG,
    MODEL_NAME,
    ModelVersion,
    version_named,
    versions_of_checkpoint,
)

_URI = re.compile(rf"models:/{MODEL_NAME}(?:/(\d+|latest)|@([\w-]+))")
_FIGURES = {
    ACCURACY_TAG: "validation accuracy",
    "test_accuracy_percent": "test accuracy",
    "synaptic_events_per_inference": "synaptic events per inference",
    "energy_pj_per_inference": "energy per inference",
    "energy_low_pj_per_inference": "energy, at least",
    "energy_high_pj_per_inference": "energy, at most",
}
_BRACKET = ("energy, at least", "energy, at most")


@dataclass(frozen=True)
class Lineage:
    """A version, and where it comes from.

    Attributes:
        version: as the registry holds it.
        same_file: False if a file was asked for that has the version's weights, but other bytes.
        recorded: the revision whose dvc.lock records the version's checkpoint, so that git and DVC
            bring it back; None if this repository has none.
        in_workspace: whether the workspace's dvc.lock records it, committed or not.
    """

    version: ModelVersion
    same_file: bool
    recorded: Revision | None
    in_workspace: bool

    @property
    def commands(self) -> tuple[str, ...]:
        """What brings back the checkpoint with its code, data and parameters."""
        if self.recorded is None:
            return ()
        return f"git checkout {self.recorded.commit}", "dvc checkout"


def trace(reference: str, directory: Path, store: Store) -> list[Lineage]:
    """The versions that a reference names, newest first, with the revisions they come from.

    Args:
        reference: `models:/surrogate-snn/3`, `models:/surrogate-snn@champion`, or the path of a
            complete checkpoint, which may have several versions.
        directory: of the project.
        store: its registry.

    Raises:
        StoreError: there is no such version, or the store cannot be read.
        ArtifactError: the file is no complete checkpoint, or `directory` no git repository.
    """
    versions, same_file = _versions(reference, store)
    lineages = []
    for version in versions:
        md5 = version.tags.get(MD5_TAG, "")
        recording = revisions_recording(directory, md5) if md5 else []
        lineages.append(
            Lineage(
                version=version,
                same_file=same_file,
                recorded=recording[0] if recording else None,
                in_workspace=bool(md5) and records_in_workspace(directory, md5),
            )
        )
    return lineages


def lineage_values(lineage: Lineage) -> dict[str, Any]:
    """A lineage as plain values for programs."""
    tags, recorded = lineage.version.tags, lineage.recorded
    return {
        "model": MODEL_NAME,
        "version": lineage.version.version,
        "aliases": list(lineage.version.aliases),
        "run_id": lineage.version.run_id,
        "same_file": lineage.same_file,
        "checkpoint_md5": tags.get(MD5_TAG),
        "ran_at_commit": tags.get("git.commit"),
        "ran_with_uncommitted_changes": {"true": True, "false": False}.get(
            tags.get("git.dirty", "")
        ),
        "experiment": tags.get("dvc.experiment"),
        "data_source": tags.get("data.source"),
        "energy_profile": tags.get("energy.profile"),
        **{name: float(tags[name]) if name in tags else None for name in _FIGURES},
        "recorded_by_commit": recorded.commit if recorded else None,
        "recorded_by_experiment": recorded.experiment if recorded else None,
        "recorded_in_workspace": lineage.in_workspace,
        "commands": list(lineage.commands),
    }


def lineage_text(lineage: Lineage) -> str:
    """A lineage in words."""
    version, tags = lineage.version, lineage.version.tags
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    text = render(
        f"Version {version.version} of {MODEL_NAME}{aliases}",
        [
            ("Checkpoint", _checkpoint_rows(lineage)),
            ("Result", _result_rows(tags)),
            ("Origin", _origin_rows(lineage)),
        ],
    )
    return f"{text}\n{_way_back(lineage)}"


def _versions(reference: str, store: Store) -> tuple[list[ModelVersion], bool]:
    if not reference.startswith("models:"):
        versions, same_file = versions_of_checkpoint(Path(reference), store)
        if not versions:
            raise StoreError(f"{reference} is no version of {MODEL_NAME}: publish its run first.")
        return versions, same_file
    match = _URI.fullmatch(reference)
    if match is None:
        raise StoreError(
            f"{reference} names no version; allowed: models:/{MODEL_NAME}/N, "
            f"models:/{MODEL_NAME}@ALIAS, or a file."
        )
    name = match[1] or match[2]
    version = version_named(name, store)
    if version is None:
        raise StoreError(f"{MODEL_NAME} has no version {name} in this store.")
    return [version], True


def _checkpoint_rows(lineage: Lineage) -> Rows:
    rows = [("md5, as in dvc.lock", lineage.version.tags.get(MD5_TAG, "not recorded"))]
    if not lineage.same_file:
        rows.append(("the file asked for", "has the same weights, but other bytes (clocks)"))
    return [*rows, ("MLflow run", lineage.version.run_id)]


def _result_rows(tags: Mapping[str, str]) -> Rows:
    rows = [("data", tags.get("data.title", tags.get("data.source", "not recorded")))]
    exact = tags.get("energy_low_pj_per_inference") == tags.get("energy_high_pj_per_inference")
    for name, label in _FIGURES.items():
        if name in tags and not (exact and label in _BRACKET):
            unit = " %" if name.endswith("_percent") else " pJ" if "_pj_" in name else ""
            rows.append((label, number(float(tags[name]), 2 if unit == " %" else 0, unit)))
    if "energy.profile" in tags:
        rows.append(("energy profile", tags["energy.profile"]))
    return rows


def _origin_rows(lineage: Lineage) -> Rows:
    tags, recorded = lineage.version.tags, lineage.recorded
    changes = {"true": ", with uncommitted changes", "false": ""}
    state = changes.get(tags.get("git.dirty", ""), ", perhaps with uncommitted changes")
    rows = [("ran at commit", f"{tags.get('git.commit', 'unknown')}{state}")]
    if "dvc.experiment" in tags:
        rows.append(("DVC experiment", tags["dvc.experiment"]))
    if recorded is None:
        return [*rows, ("recorded by", "no commit or experiment of this repository")]
    name = f" (experiment {recorded.experiment})" if recorded.experiment else ""
    return [*rows, ("recorded by commit", f"{recorded.commit}{name}")]


def _way_back(lineage: Lineage) -> str:
    if lineage.commands:
        return (
            "To have it back with its code, data and parameters (`dvc pull` first if the cache "
            "lacks them):\n"
            f"  {' && '.join(lineage.commands)}\n"
            "`dvc status` then says whether that commit holds the very code that made it.\n"
        )
    if lineage.in_workspace:
        return (
            "The workspace's dvc.lock records it: commit that, and git and DVC lead back to it.\n"
        )
    experiment = lineage.version.tags.get("dvc.experiment")
    hint = (
        f" (an experiment of another clone: `dvc exp pull REMOTE {experiment}`)"
        if experiment
        else ""
    )
    return (
        f"Git and DVC do not lead back to it from this repository{hint}. The checkpoint and its "
        "parameters are in the store:\n"
        f"  mlflow artifacts download --run-id {lineage.version.run_id}\n"
    )
