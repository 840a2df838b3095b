"""The jobs of the study: `python -m studies.verdict judge`, `... train`, `... record`.

The exit status is 0 for success, 1 for an error (one sentence on standard error) and 2
for wrong arguments.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spikejoule.core.errors import SpikejouleError, StoreError, printable
from spikejoule.core.store import write_csv, write_text
from spikejoule.core.terminal import wrapped
from spikejoule.core.yaml_files import PARAMS_FILE
from spikejoule.energy.estimates import rounded
from spikejoule.energy.prices import HardwareProfile
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.nir.options import add_convention_options, chosen_conventions
from spikejoule.params import load_params
from spikejoule.tracking.recorded import VALIDATION_SIZE, measured_alike, recorded_runs
from spikejoule.tracking.settings import settings_table, write_settings
from spikejoule.tracking.store import store_of
from studies.verdict import breakeven, headline, page, published
from studies.verdict.counts import CountRatio, count_ratios
from studies.verdict.entrants import DeclaredBits
from studies.verdict.networks import (
    FOLDER,
    NetworkTable,
    RecordedNetwork,
    recorded_table,
)
from studies.verdict.outside import ALLOWED, Images, outside_networks
from studies.verdict.project import Project, price_lists
from studies.verdict.protocol import Protocol
from studies.verdict.published import ROOT
from studies.verdict.recording import Networks, beside_table
from studies.verdict.sentences import beside_text, terminal_text
from studies.verdict.timed import TIMED, timed_ratios
from studies.verdict.training import TABLE, TrainingTable, priced_by
from studies.verdict.verdicts import (
    SIDES,
    Verdict,
    beside_fronts,
    verdict_columns,
    verdicts,
)

if TYPE_CHECKING:
    from studies.verdict.searching import Workshop

DEFAULT_DATA: Final = "mnist"
"""The data set of the study's own tables and page."""


def judge(options: argparse.Namespace) -> str:
    """Compare both sides over all recorded networks; returns the text to print."""
    project = Project.at(options.directory)

    # The networks of the project's runs and of the recorded table.
    source = options.data
    if source is None and options.add:
        source = project.data_source
    networks = recorded_networks(project, source, options.recorded)

    # Networks from outside the project.
    beside = ""
    if options.add:
        bits = DeclaredBits(options.weight_bits, options.state_bits)
        images = Images.load(project.directory, project.paths, project.params, bits)
        images = images.beside(networks.rows)
        conventions = chosen_conventions(options)
        added = outside_networks(
            options.add,
            options.side,
            conventions,
            images,
            project.comparing,
        )
        beside = beside_text(
            beside_fronts(added, networks.rows, project.judging, project.settings)
        )
        networks.rows += added

    # The comparison, in files and in words.
    rows = verdicts(networks.rows, project.judging, project.settings)
    if options.table is not None:
        write_verdicts(options.table, rows)
    if options.networks is not None:
        NetworkTable(rows=tuple(networks.rows)).write(options.networks)
    text = terminal_text(rows, networks.rows, project.profiles, networks.left_out)
    return text + beside


def record(options: argparse.Namespace) -> str:
    """Replace the study's tables, the published networks and the pages, for MNIST.

    Networks that are already recorded stay.
    """
    # Imported here, because the other jobs need no matplotlib.
    from studies.verdict.map import write_map

    # The settings of recorded runs, means over their seeds.
    runs = recorded_runs(store_of(options.directory))
    settings = settings_table(runs, DEFAULT_DATA)
    write_settings(FOLDER / "seeds.csv", settings.rows)

    # The comparison and its networks.
    options.table = FOLDER / "verdict.csv"
    options.networks = recorded_table(DEFAULT_DATA)
    text = judge(options)

    # The counts.
    networks = NetworkTable.read(options.networks).rows
    write_counts(FOLDER / "counts.csv", count_ratios(networks, page.SETTINGS))

    # The headline and its factors.
    profiles = price_lists()
    found = headline.headline(networks, profiles[headline.PROFILE], page.SETTINGS)
    headline.HeadlineTable(rows=tuple(found)).write(headline.HEADLINE)
    varied = headline.factors(networks, profiles, page.SETTINGS)
    headline.FactorTable(rows=tuple(varied)).write(headline.FACTORS)

    # Energies with static power and time.
    write_counts(TIMED, timed_ratios(networks, page.SETTINGS))

    # The break-even map.
    lines = breakeven.break_even(networks, page.SETTINGS)
    breakeven.BreakEvenTable(rows=tuple(lines)).write(breakeven.TABLE)
    lists = breakeven.placed_lists(networks, profiles, page.SETTINGS)
    write_map(lines, lists)

    # The published conventional networks, and the pages.
    published.published_table().write(published.TABLE)
    for file in (page.SUMMARY, page.PAGE):
        write_text(file, page.written(file))
    return text


def train(options: argparse.Namespace) -> str:
    """Train both sides of a preset, and replace these runs in the table of trainings.

    `record` then updates the page.
    """
    # Imported here, because the other jobs need no PyTorch.
    from studies.verdict.trainings import rows_of

    profiles = priced_by(price_lists().values())
    rows = [
        row for seed in options.seeds for row in rows_of(options.preset, seed, profiles)
    ]
    runs = {row.run for row in rows}
    kept = [row for row in TrainingTable.read(TABLE).rows if row.run not in runs]
    TrainingTable(rows=(*kept, *rows)).write(TABLE)
    return f"{TABLE}: {len(rows)} rows of {', '.join(sorted(runs))}\n"


def search(options: argparse.Namespace) -> str:
    """Search networks by the protocol, and replace the table of the search."""
    # Imported here, because the other jobs need no PyTorch.
    from studies.verdict import searching

    protocol = Protocol.read()
    workshop = workshop_in(options.folder, [price_lists()[headline.PROFILE]])
    rows = [row for side in SIDES for row in searching.search(side, protocol, workshop)]
    searching.SearchTable(rows=tuple(rows)).write(searching.TABLE)
    return f"{searching.TABLE}: {len(rows)} networks\n"


def final(options: argparse.Namespace) -> str:
    """Train the chosen networks, and replace their rows in the study's table.

    `record` then updates the page.
    """
    from studies.verdict.searching import final_rows

    protocol = Protocol.read()
    profiles = price_lists().values()
    workshop = workshop_in(
        options.folder,
        [profile for profile in profiles if profile.eligibility.scope_compares],
    )
    rows = [
        row
        for seed in options.seeds or protocol.seeds
        for side in options.sides
        for row in final_rows(side, seed, protocol, workshop)
    ]
    replaced = {(row.run, row.side) for row in rows}
    table = recorded_table(DEFAULT_DATA)
    kept = [
        row
        for row in NetworkTable.read(table).rows
        if (row.run, row.side) not in replaced
    ]
    NetworkTable(rows=(*kept, *rows)).write(table)
    runs = sorted({row.run for row in rows})
    return f"{table}: {len(rows)} rows of {', '.join(runs)}\n"


def workshop_in(folder: Path, profiles: Sequence[HardwareProfile]) -> "Workshop":
    """Where the protocol's networks are trained, counted and priced."""
    from studies.verdict.searching import Workshop

    folder.mkdir(parents=True, exist_ok=True)
    tolerance = load_params(ROOT / PARAMS_FILE).evaluate.early_exit_tolerance_percent
    return Workshop(folder, profiles, tolerance)


def recorded_networks(
    project: Project, source: str | None, table: Path | bool | None
) -> Networks:
    """Join the networks of the project's runs and those of a table.

    Args:
        project: the project.
        source: the data set; None for the most frequent among the runs, or else that of
            the table.
        table: a file of recorded networks; None for the project's own; False for none.

    Raises:
        StoreError: the store cannot be read, or neither it nor the table has a network
            to compare.
    """
    runs = project.runs()
    problem: StoreError | None = None
    try:
        comparable = measured_alike(runs, source, (VALIDATION_SIZE,))
    except StoreError as error:
        problem = error
        networks = Networks([], +Counter({"that could not be compared": len(runs)}))
    else:
        source = comparable.data_source
        networks = project.reader().networks(comparable)

    recorded = table_rows(project, source, table)
    source = source or next((row.data_source for row in recorded), DEFAULT_DATA)
    together = beside_table(networks, recorded, source)
    if problem is not None and not together.rows:
        raise problem
    return together


def table_rows(
    project: Project, source: str | None, table: Path | bool | None
) -> Sequence[RecordedNetwork]:
    """The networks of a file, or of the project's own table for a data set."""
    if isinstance(table, bool):
        return ()
    if table is not None:
        return NetworkTable.read(table).rows
    folder = project.directory / "studies" / "verdict"
    own = recorded_table(source or DEFAULT_DATA, folder)
    return NetworkTable.read(own).rows if own.exists() else ()


def write_verdicts(file: Path, rows: Sequence[Verdict]) -> None:
    """Write all comparisons as CSV."""
    write_csv(file, verdict_columns(), [list(row.cells().values()) for row in rows])


def write_counts(file: Path, rows: Sequence[CountRatio]) -> None:
    """Write the ratios of counts as CSV; a cell is empty where a ratio is infinite."""

    def cell(value: str | float) -> str | float | None:
        return None if value == math.inf else rounded(value, 8)

    columns = [field.name for field in fields(CountRatio)]
    write_csv(file, columns, [[cell(value) for value in astuple(row)] for row in rows])


def parser() -> argparse.ArgumentParser:
    """Make the parser of both jobs."""
    arguments = argparse.ArgumentParser(
        prog="python -m studies.verdict",
        description="Which side needs less energy at equal accuracy: spiking or "
        "conventional?",
    )
    jobs = arguments.add_subparsers(title="jobs", metavar="JOB", required=True)
    add_judge(
        jobs.add_parser(
            "judge", help="judge recorded networks, your runs and your networks"
        )
    )
    recording = jobs.add_parser(
        "record", help="for maintainers: replace its tables and pages"
    )
    recording.set_defaults(
        job=record, directory=Path(), data=DEFAULT_DATA, recorded=None, add=[]
    )
    training = jobs.add_parser(
        "train", help="for maintainers: train both sides to equal accuracy"
    )
    training.add_argument("preset", metavar="PRESET", help="a file of experiments/")
    training.add_argument("--seeds", type=int, nargs="+", default=[42], metavar="SEED")
    training.set_defaults(job=train)
    searched = jobs.add_parser(
        "search", help="for maintainers: search networks of both sides"
    )
    searched.set_defaults(job=search)
    finals = jobs.add_parser(
        "final", help="for maintainers: train those that the search chose"
    )
    finals.add_argument("--seeds", type=int, nargs="+", metavar="SEED")
    finals.add_argument(
        "--sides", nargs="+", choices=SIDES, default=SIDES, help="both by default"
    )
    finals.set_defaults(job=final)
    for job in (searched, finals):
        job.add_argument(
            "folder", type=Path, metavar="FOLDER", help="keeps trained networks"
        )
    return arguments


def add_judge(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `judge`."""
    parser.set_defaults(job=judge)
    parser.add_argument(
        "directory",
        type=Path,
        nargs="?",
        default=Path(),
        metavar="DIRECTORY",
        help="the project (default: the working directory)",
    )
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        help="judge runs on this data, such as mnist5k (default: the most frequent)",
    )
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="write every level and price list (CSV)",
    )
    parser.add_argument(
        "--networks",
        type=Path,
        metavar="FILE",
        help="write every network and its energies (CSV)",
    )
    parser.add_argument(
        "--recorded",
        type=Path,
        metavar="FILE",
        help="add the networks of a file that --networks wrote (default: the "
        "project's own, studies/verdict/networks-SOURCE.csv)",
    )
    parser.add_argument(
        "--no-recorded",
        dest="recorded",
        action="store_const",
        const=False,
        help="judge the project's own runs only",
    )
    parser.add_argument(
        "--add",
        nargs="+",
        default=[],
        metavar="FILE",
        help=f"add other networks, run on the project's images: {ALLOWED}; several "
        "are seeds of one configuration",
    )
    parser.add_argument(
        "--side",
        choices=("snn", "ann"),
        default="snn",
        help="the side of --add: spiking (default) or conventional",
    )
    for width, values in (("weight", "weights"), ("state", "potentials")):
        parser.add_argument(
            f"--{width}-bits",
            type=int,
            choices=(*range(2, 17), FLOAT_BITS),
            default=FLOAT_BITS,
            metavar="BITS",
            help=f"width of the {values} of spiking graphs and modules that compute in "
            "integers, 2 to 16 (default: 32, floating point)",
        )
    add_convention_options(parser)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one job; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        sys.stdout.write(printable(wrapped(options.job(options))))
    except (OSError, SpikejouleError) as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
