"""Commands on a project: publishing its run, holding it to limits, and comparing recorded runs."""

import argparse
import contextlib
from pathlib import Path

from spikejoule.cli.networks import is_nir, publish_graph
from spikejoule.core.store import read_json, write_text
from spikejoule.core.yaml_files import PARAMS_FILE, ArtifactPaths, artifact_paths
from spikejoule.energy import BootstrapSettings, load_profiles
from spikejoule.energy.bands import FrontsTable, VerdictTable, band_verdicts
from spikejoule.params import load_params, load_values
from spikejoule.tracking import recorded
from spikejoule.tracking.project import check_limits, stage_parameters
from spikejoule.tracking.store import Store, project_store


def publish(options: argparse.Namespace) -> str:
    """Record the run that the outputs in the workspace stand for, or a graph of NIR."""
    if is_nir(options):
        return publish_graph(options)
    from spikejoule.tracking.publishing import publish_outputs

    root = options.file.resolve()
    paths = artifact_paths(root, "publish")  # refuses a folder that is no project, by its full name
    with contextlib.chdir(root):
        params = load_params(PARAMS_FILE)
        return f"{publish_outputs(paths, params, root)}\n"


def check(options: argparse.Namespace) -> str:
    """What the limits say of the recorded run; LimitError if it is beyond them."""
    return f"{check_limits(options.directory.resolve())}\n"


def _recorded(options: argparse.Namespace) -> Store:
    """The store of the project's runs: no parameter but its experiment need be valid."""
    (experiment,) = load_values(options.directory / PARAMS_FILE, "publish.experiment")
    return project_store(options.directory, experiment)


def runs(options: argparse.Namespace) -> str:
    """The recorded runs, whatever came of them."""
    store = _recorded(options)
    return recorded.runs_text(recorded.recorded_runs(store, condition=""), options.limit)


def seeds(options: argparse.Namespace) -> str:
    """Means of the runs that differ in their seed alone, and their Pareto front."""
    store = _recorded(options)
    table, left_out = recorded.settings_table(recorded.recorded_runs(store), options.data)
    if options.table is not None:
        flags = table.astype({"early_exit": int, "on_front": int})
        write_text(options.table, flags.to_csv(index=False, lineterminator="\n"))
    return recorded.settings_text(table, left_out)


def _reference_table(options: argparse.Namespace, paths: ArtifactPaths) -> Path | None:
    """The table of recorded networks beside which a verdict is: of --recorded, or the project's;
    None with --no-recorded, or where the project has none."""
    if options.recorded is None:
        table: Path = options.directory / paths["fronts"]
        return table if table.exists() else None
    chosen: Path | None = options.recorded or None
    return chosen


def _data_source(options: argparse.Namespace, paths: ArtifactPaths) -> str | None:
    """The data of a verdict: of --data, or of the images that networks of --add read; None for
    those of the recorded runs."""
    chosen: str | None = options.data
    if chosen is None and options.add:
        chosen = read_json(options.directory / paths["data_metrics"])["source"]
    return chosen


def verdict(options: argparse.Namespace) -> str:
    """Which side needs less energy at about equal accuracy, over seeds."""
    store = _recorded(options)
    params_file = options.directory / PARAMS_FILE
    resamples, confidence, seed = load_values(
        params_file, "energy_report.bootstrap_samples", "evaluate.confidence", "seed"
    )
    paths = artifact_paths(options.directory)
    profiles = load_profiles(options.directory / paths["hardware"])
    # Price lists of arithmetic only charge a product the same whatever its width, and would judge
    # networks of 4 bits at prices of 8 or 32.
    judging = [one for one in profiles.values() if one.scope != "arithmetic"]
    comparing = [one for one in profiles.values() if one.compares]
    reference = _reference_table(options, paths)
    earlier = FrontsTable.read(reference).rows if reference else ()
    is_lost = earlier and store.database is not None and not store.database.exists()
    networks, left_out = recorded.recorded_networks(
        store,
        recorded.frame_of(()) if is_lost else recorded.recorded_runs(store),
        paths["contenders"],
        comparing,
        stage_parameters(options.directory, "baseline"),
        _data_source(options, paths),
        earlier,
    )
    if options.add:
        from spikejoule.cli.added import added_networks

        encoder = load_params(params_file).encode.encoder
        networks += added_networks(options, paths, encoder, comparing, networks)
    settings = BootstrapSettings(resamples, confidence, seed)
    table = VerdictTable(rows=band_verdicts(networks, judging, settings))
    if options.table is not None:
        table.write(options.table)
    if options.fronts is not None:
        FrontsTable(rows=tuple(networks)).write(options.fronts)
    return recorded.verdict_text(table, networks, profiles, left_out)
