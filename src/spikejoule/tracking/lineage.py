"""From a version of the model to the commit with its code, data and parameters, and back."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikejoule.core.errors import StoreError
from spikejoule.core.text import mapping_rows, render
from spikejoule.tracking import Store
from spikejoule.tracking.project import Revision, records_in_workspace, revisions_recording
from spikejoule.tracking.registry import (
    ACCURACY_TAG,
    MD5_TAG,
    MODEL_NAME,
    version_named,
    versions_of_checkpoint,
)

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

_CHANGED = {"true": True, "false": False}
_URI = re.compile(rf"models:/{MODEL_NAME}(?:/(\d+|latest)|@([\w-]+))")
_FIGURES = (
    ACCURACY_TAG,
    "test_accuracy_percent",
    "synaptic_events_per_inference",
    "energy_pj_per_inference",
    "energy_low_pj_per_inference",
    "energy_high_pj_per_inference",
)


@dataclass(frozen=True)
class Lineage:
    """A version, and where it comes from.

    Attributes:
        version: MLflow's entity.
        same_file: False if a file was asked for that has the version's weights, but other bytes.
        recorded: the revision whose dvc.lock records the version's checkpoint, so that git and DVC
            bring it back; None if this repository has none.
        in_workspace: whether the workspace's dvc.lock records it, committed or not.
    """

    version: "ModelVersion"
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
        in_workspace = bool(md5) and records_in_workspace(directory, md5)
        lineages.append(
            Lineage(version, same_file, recording[0] if recording else None, in_workspace)
        )
    return lineages


def lineage_values(lineage: Lineage) -> dict[str, Any]:
    """A lineage as plain values for programs."""
    tags, recorded = lineage.version.tags, lineage.recorded
    return {
        "model": MODEL_NAME,
        "version": int(lineage.version.version),
        "aliases": list(lineage.version.aliases),
        "run_id": lineage.version.run_id,
        "same_file": lineage.same_file,
        "checkpoint_md5": tags.get(MD5_TAG),
        "ran_at_commit": tags.get("git.commit"),
        "ran_with_uncommitted_changes": _CHANGED.get(tags.get("git.dirty", "")),
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
    """A lineage in words: its values that are known, and how to restore the version."""
    values = lineage_values(lineage)
    aliases = f" ({', '.join(values['aliases'])})" if values["aliases"] else ""
    title = f"Version {values['version']} of {MODEL_NAME}{aliases}"
    known = {
        name: value
        for name, value in values.items()
        if name not in ("model", "version", "aliases", "commands") and value is not None
    }
    return f"{render(title, [('Origin', mapping_rows(known))])}\n{_how_to_restore(lineage)}"


def _versions(reference: str, store: Store) -> "tuple[list[ModelVersion], bool]":
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


def _how_to_restore(lineage: Lineage) -> str:
    if lineage.commands:
        return (
            "To restore it with its code, data and parameters (`dvc pull` first if the cache "
            f"lacks them):\n  {' && '.join(lineage.commands)}\n"
            "`dvc status` then says whether that commit holds the very code that made it.\n"
        )
    if lineage.in_workspace:
        return (
            "The workspace's dvc.lock records it: commit that, and git and DVC lead back to it.\n"
        )
    experiment = lineage.version.tags.get("dvc.experiment")
    pull = f" (of another clone: `dvc exp pull REMOTE {experiment}`)" if experiment else ""
    return (
        f"No commit or experiment of this repository records it{pull}. The checkpoint and its "
        "parameters are in the store:\n"
        f"  mlflow artifacts download --run-id {lineage.version.run_id}\n"
    )
