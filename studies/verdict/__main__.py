"""The jobs of the study: `python -m studies.verdict judge` and `... record`.

Exit status: 0 for success, 1 for an error (one sentence on the standard error), 2 for a wrong
call.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikejoule.cli.arguments import OF_A_GRAPH
from spikejoule.cli.networks import given_conventions
from spikejoule.cli.runs import store_of
from spikejoule.core.errors import SpikejouleError, StoreError, printable
from spikejoule.core.store import read_json, write_csv, write_text
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths
from spikejoule.energy import BootstrapSettings, load_profiles
from spikejoule.params import load_params, load_values
from spikejoule.tracking.project import stage_parameters
from spikejoule.tracking.recorded import (
    VALIDATION_SIZE,
    frame_of,
    measured_alike,
    recorded_runs,
)
from spikejoule.tracking.settings import settings_table, write_settings
from studies.verdict import page, published
from studies.verdict.networks import FOLDER, NetworkTable, RecordedNetwork, recorded_table
from studies.verdict.outside import Images, outside_networks
from studies.verdict.recording import Networks, Reader, beside_table
from studies.verdict.sentences import terminal_text
from studies.verdict.statistics import Verdict, verdict_columns, verdicts

DEFAULT_DATA = "mnist"
"""The data of the recorded networks where the project has no runs."""


def judge(options: argparse.Namespace) -> str:
    """Which side needs less energy at about equal accuracy, over all recorded networks."""
    directory: Path = options.directory
    profiles = load_profiles(directory / artifact_paths(directory)["hardware"])
    comparing = [profile for profile in profiles.values() if profile.compares]

    # The networks of the project's runs, those of the recorded table, and those of others.
    source = options.data or (_data_of_project(directory) if options.add else None)
    found = recorded_networks(options, source)
    if options.add:
        encoder = load_params(directory / PARAMS_FILE).encode.encoder
        images = Images.load(directory, artifact_paths(directory), encoder)
        images.check_same(found.rows)
        conventions = given_conventions(options)
        found.rows += outside_networks(options.add, options.side, conventions, images, comparing)

    # Arithmetic-only lists charge a product the same whatever its width: they would judge
    # 4-bit networks at prices of 8 or 32 bits.
    judging = [profile for profile in profiles.values() if profile.scope != "arithmetic"]
    rows = verdicts(found.rows, judging, bootstrap_settings(directory))

    if options.table is not None:
        write_verdicts(options.table, rows)
    if options.networks is not None:
        NetworkTable(rows=tuple(found.rows)).write(options.networks)
    return terminal_text(rows, found.rows, profiles, found.left_out)


def record(options: argparse.Namespace) -> str:
    """Replace the tables of the study, the published networks and the pages, for MNIST.

    The networks that are recorded already stay.
    """
    # The verdict and its networks.
    options.table = FOLDER / "verdict.csv"
    options.networks = recorded_table(DEFAULT_DATA)
    said = judge(options)

    # The settings of recorded runs, means over their seeds.
    runs = recorded_runs(store_of(options.directory))
    settings, _ = settings_table(runs, DEFAULT_DATA)
    write_settings(FOLDER / "seeds.csv", settings)

    # What others read: the conventional networks, and pages.
    published.published_table().write(published.TABLE)
    for file in (page.SUMMARY, page.PAGE):
        write_text(file, page.written(file))
    return said


def recorded_networks(options: argparse.Namespace, source: str | None) -> Networks:
    """The networks of the project's runs, and those of the recorded table.

    Args:
        options: of the command.
        source: the data; None for the most frequent of the runs, or else those of the table.

    Raises:
        StoreError: the store cannot be read, or neither it nor the table has a network to compare.
    """
    directory: Path = options.directory
    store = store_of(directory)
    has_no_store = store.database is not None and not store.database.exists()
    runs = frame_of(()) if has_no_store else recorded_runs(store)
    problem: StoreError | None = None
    try:
        comparable = measured_alike(runs, source, (VALIDATION_SIZE,))
    except StoreError as error:
        problem = error
        found = Networks([], +Counter({"that could not be compared": len(runs)}))
    else:
        source = comparable.data_source
        profiles = load_profiles(directory / artifact_paths(directory)["hardware"])
        reader = Reader(
            store,
            artifact_paths(directory)["contenders"],
            [profile for profile in profiles.values() if profile.compares],
            stage_parameters(directory, "baseline"),
        )
        found = reader.networks(comparable)

    table = recorded_rows(options, source)
    source = source or next((row.data_source for row in table), DEFAULT_DATA)
    together = beside_table(found, table, source)
    if problem is not None and not together.rows:
        raise problem
    return together


def recorded_rows(options: argparse.Namespace, source: str | None) -> Sequence[RecordedNetwork]:
    """The networks of --recorded, or of the project's own table of some data."""
    if options.recorded is False:
        return ()
    if options.recorded is not None:
        return NetworkTable.read(options.recorded).rows
    folder = options.directory / "studies" / "verdict"
    table = recorded_table(source or DEFAULT_DATA, folder)
    return NetworkTable.read(table).rows if table.exists() else ()


def _data_of_project(directory: Path) -> str:
    data: dict[str, Any] = read_json(directory / artifact_paths(directory)["data_metrics"])
    source: str = data["source"]
    return source


def bootstrap_settings(directory: Path) -> BootstrapSettings:
    """How a project draws intervals."""
    resamples, confidence, seed = load_values(
        directory / PARAMS_FILE,
        "energy_report.bootstrap_samples",
        "evaluate.confidence",
        "seed",
    )
    return BootstrapSettings(resamples, confidence, seed)


def write_verdicts(file: Path, rows: Sequence[Verdict]) -> None:
    """Write the table of verdicts as CSV."""
    write_csv(file, verdict_columns(), [list(row.cells().values()) for row in rows])


def parser() -> argparse.ArgumentParser:
    """The arguments of both jobs."""
    found = argparse.ArgumentParser(
        prog="python -m studies.verdict",
        description="Which side needs less energy at equal accuracy: spiking or conventional?",
    )
    jobs = found.add_subparsers(title="jobs", metavar="JOB", required=True)

    judging = jobs.add_parser("judge", help="judge recorded networks, your runs and your networks")
    judging.set_defaults(job=judge)
    add = judging.add_argument
    add(
        "directory",
        type=Path,
        nargs="?",
        default=Path(),
        metavar="DIRECTORY",
        help="the project (default: the working directory)",
    )
    add("--data", metavar="SOURCE", help="judge runs on this data, such as mnist5k "
        "(default: the most frequent)")  # fmt: skip
    add("--table", type=Path, metavar="FILE", help="write every level and price list (CSV)")
    add("--networks", type=Path, metavar="FILE", help="write every network with its energies (CSV)")
    add("--recorded", type=Path, metavar="FILE", help="add the networks of a file of --networks "
        "(default: the project's own, studies/verdict/networks-SOURCE.csv)")  # fmt: skip
    add("--no-recorded", dest="recorded", action="store_const", const=False,
        help="judge the project's own runs only")  # fmt: skip
    add("--add", nargs="+", default=[], metavar="FILE", help="add other networks, run on the "
        "project's images: GRAPH.nir, or FILE.py:NAME of a PyTorch module; several are seeds of "
        "one configuration")  # fmt: skip
    add("--side", choices=("snn", "ann"), default="snn", help="the side of --add: spiking "
        "(default) or conventional")  # fmt: skip
    for name, settings in OF_A_GRAPH:
        add(name, **settings)

    recording = jobs.add_parser("record", help="for maintainers: replace the study's tables and "
                                "pages")  # fmt: skip
    recording.set_defaults(job=record, directory=Path(), data=DEFAULT_DATA, recorded=None, add=[])
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one job; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        sys.stdout.write(printable(options.job(options)))
    except (OSError, SpikejouleError) as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
