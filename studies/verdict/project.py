"""The parts of a project that the study reads: prices, parameters, paths and runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from spikejoule.core.store import read_json
from spikejoule.core.yaml_files import (
    PARAMS_FILE,
    ArtifactPaths,
    artifact_paths,
    stage_parameters,
)
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import HardwareProfile, load_profiles
from spikejoule.params import Params, load_params
from spikejoule.tracking.recorded import frame_of, recorded_runs
from spikejoule.tracking.store import store_of
from studies.verdict.networks import FOLDER
from studies.verdict.recording import Reader
from studies.verdict.verdicts import DRAWS

VARIANTS: Final = FOLDER / "price-lists.yaml"
"""The price lists that only the study uses."""


def price_lists(path: Path | None = None) -> dict[str, HardwareProfile]:
    """The price lists of a file (None for the packaged one), and the study's own."""
    return load_profiles(path) | load_profiles(VARIANTS)


VARIANT_OF: Final = {
    "45nm-by-width-complete": "45nm-by-width",
    "45nm-by-width-memory-floored": "45nm-by-width-memory",
    "lemaire-complete-floored": "lemaire-complete",
    "lemaire-complete-int8-floored": "lemaire-complete-int8",
    "lemaire-complete-int8-registers": "lemaire-complete-int8",
    "lemaire-qualia-int8": "lemaire-qualia",
}
"""Price lists that differ in one assumption from another: they count once with it."""


def judging(profiles: Iterable[HardwareProfile]) -> list[HardwareProfile]:
    """The price lists that include memory, or price arithmetic by bit widths.

    Other lists of arithmetic would price 4-bit networks like 8- or 32-bit ones.
    """
    return [
        profile
        for profile in profiles
        if profile.scope != "arithmetic" or not profile.ignores_widths
    ]


@dataclass(frozen=True)
class Project:
    """A folder with a pipeline.

    Attributes:
        directory: the folder.
        paths: paths of the pipeline's artifacts within the folder.
        profiles: the price lists, by id.
    """

    directory: Path
    paths: ArtifactPaths
    profiles: Mapping[str, HardwareProfile]

    @classmethod
    def at(cls, directory: Path) -> "Project":
        """Open the project in a folder; ArtifactError if there is none."""
        paths = artifact_paths(directory)
        return cls(directory, paths, price_lists(directory / paths["hardware"]))

    @property
    def comparing(self) -> list[HardwareProfile]:
        """The price lists under which networks are priced."""
        return [
            profile
            for profile in self.profiles.values()
            if profile.eligibility.scope_compares
        ]

    @property
    def judging(self) -> list[HardwareProfile]:
        """The price lists under which sides are compared."""
        return judging(self.profiles.values())

    @property
    def settings(self) -> BootstrapSettings:
        """Random draws and confidence of the intervals."""
        params = self.params
        return BootstrapSettings(
            DRAWS,
            params.evaluate.confidence,
            params.seed,
        )

    @property
    def params(self) -> Params:
        """Its parameters."""
        return load_params(self.directory / PARAMS_FILE)

    @property
    def data_source(self) -> str:
        """The source of its images."""
        data = read_json(self.directory / self.paths["data_metrics"])
        return str(data["source"])

    def runs(self) -> pd.DataFrame:
        """Its recorded runs; none if it has no store yet."""
        store = store_of(self.directory)
        if store.database is not None and not store.database.exists():
            return frame_of(())
        return recorded_runs(store)

    def reader(self) -> Reader:
        """The reader of its runs' networks."""
        return Reader(
            store_of(self.directory),
            self.directory,
            self.paths,
            self.comparing,
            stage_parameters(self.directory, "baseline"),
        )
