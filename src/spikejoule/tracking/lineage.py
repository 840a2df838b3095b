"""From a version of the model to the commit with its code, data and parameters, and back."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikejoule.core.errors import StoreError
from spikejoule.core.provenance import file_digest
from spikejoule.core.text import mapping_rows, render
from spikejoule.tracking.project import LOCK_FILE, revision_recording
from spikejoule.tracking.queries import opened_to_read
from spikejoule.tracking.registry import (
    ACCURACY_TAG,
    FIGURES,
    MD5_TAG,
    MODEL_NAME,
    WEIGHTS_TAG,
    versions,
    weights_digest,
)
from spikejoule.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

_CHANGED = {"true": True, "false": False}
_URI = re.compile(rf"models:/{MODEL_NAME}(?:/(\d+|latest)|@([\w-]+))")


def trace(reference: str, directory: Path, store: Store) -> list[dict[str, Any]]:
    """The versions that a reference names, newest first, and where they come from.

    Args:
        reference: `models:/surrogate-snn/3`, `models:/surrogate-snn@champion`, or the path of a
            complete checkpoint, which may have several versions. Training again gives the same
            weights in a file with other clocks: then the versions are those with its weights.
        directory: of the project.
        store: its registry.

    Returns:
        for each version plain values, of which `recorded_by_commit` is that of the oldest revision
        whose dvc.lock records the version's checkpoint, so that git and DVC bring it back by the
        `commands`; None if this repository has none. `same_file` is False if a file was asked for
        that has the version's weights, but other bytes.

    Raises:
        StoreError: there is no such version, or the store cannot be read.
        ArtifactError: the file is no complete checkpoint, or `directory` no git repository.
    """
    named = _URI.fullmatch(reference)
    if named is None and reference.startswith("models:"):
        raise StoreError(
            f"{reference} names no version; allowed: models:/{MODEL_NAME}/N, "
            f"models:/{MODEL_NAME}@ALIAS, or a file."
        )
    if named is None:
        found, same_file = _of_checkpoint(Path(reference), store)
    else:
        found, same_file = _named(named[1] or named[2], store), True
    return [_values(version, same_file, directory) for version in found]


def lineage_text(values: dict[str, Any]) -> str:
    """A version of `trace` in words: what is known of it, and how to restore it."""
    aliases = f" ({', '.join(values['aliases'])})" if values["aliases"] else ""
    title = f"Version {values['version']} of {MODEL_NAME}{aliases}"
    known = {
        name: value
        for name, value in values.items()
        if name not in ("model", "version", "aliases", "commands") and value is not None
    }
    return f"{render(title, [('Origin', mapping_rows(known))])}\n{_how_to_restore(values)}"


def _named(name: str, store: Store) -> "list[ModelVersion]":
    """The version of a number (`3`) or an alias (`champion`, `latest`)."""
    with opened_to_read(store) as (client, _):
        known = versions(client)
    if name == "latest":
        found = known[:1]
    else:
        found = [one for one in known if name in (str(one.version), *one.aliases)]
    if not found:
        raise StoreError(f"{MODEL_NAME} has no version {name} in this store.")
    return found


def _of_checkpoint(path: Path, store: Store) -> "tuple[list[ModelVersion], bool]":
    """The versions of a file, and whether it is their file to the byte."""
    from spikejoule.model.checkpoint import read_complete

    weights, md5 = weights_digest(read_complete(path).state), file_digest(path, "md5")
    with opened_to_read(store) as (client, _):
        known = versions(client)
    same_file = [one for one in known if one.tags.get(MD5_TAG) == md5]
    found = same_file or [one for one in known if one.tags.get(WEIGHTS_TAG) == weights]
    if not found:
        raise StoreError(f"{path} is no version of {MODEL_NAME}: publish its run first.")
    return found, bool(same_file)


def _values(version: "ModelVersion", same_file: bool, directory: Path) -> dict[str, Any]:
    tags, lock = version.tags, directory / LOCK_FILE
    md5 = tags.get(MD5_TAG)
    recorded = revision_recording(directory, md5) if md5 else None
    in_workspace = bool(md5) and lock.is_file() and str(md5).encode() in lock.read_bytes()
    return {
        "model": MODEL_NAME,
        "version": int(version.version),
        "aliases": list(version.aliases),
        "run_id": version.run_id,
        "same_file": same_file,
        "checkpoint_md5": md5,
        "ran_at_commit": tags.get("git.commit"),
        "ran_with_uncommitted_changes": _CHANGED.get(tags.get("git.dirty", "")),
        "experiment": tags.get("dvc.experiment"),
        "data_source": tags.get("data.source"),
        "energy_profile": tags.get("energy.profile"),
        **{name: float(tags[name]) if name in tags else None for name in (ACCURACY_TAG, *FIGURES)},
        "recorded_by_commit": recorded and recorded.commit,
        "recorded_by_experiment": recorded and recorded.experiment,
        "recorded_in_workspace": in_workspace,
        "commands": [f"git checkout {recorded.commit}", "dvc checkout"] if recorded else [],
    }


def _how_to_restore(values: dict[str, Any]) -> str:
    if values["commands"]:
        return (
            "To restore it with its code, data and parameters (`dvc pull` first if the cache "
            f"lacks them):\n  {' && '.join(values['commands'])}\n"
            "`dvc status` then says whether that commit holds the very code that made it.\n"
        )
    if values["recorded_in_workspace"]:
        return (
            "The workspace's dvc.lock records it: commit that, and git and DVC lead back to it.\n"
        )
    experiment = values["experiment"]
    pull = f" (of another clone: `dvc exp pull REMOTE {experiment}`)" if experiment else ""
    return (
        f"No commit or experiment of this repository records it{pull}. The checkpoint and its "
        "parameters are in the store:\n"
        f"  mlflow artifacts download --run-id {values['run_id']}\n"
    )
