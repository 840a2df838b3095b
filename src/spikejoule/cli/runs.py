"""Commands on a project: publishing its runs, comparing them, and the way back from a version."""

import argparse
import sys

from spikejoule.cli.arguments import json_text
from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.store import write_bytes
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths
from spikejoule.energy import BootstrapSettings, load_profiles
from spikejoule.energy.comparison import LEVELS_PERCENT, verdicts
from spikejoule.energy.tables import VerdictTable, fronts_table
from spikejoule.params import Params, load_params
from spikejoule.report.charts.accuracy import accuracy_front
from spikejoule.tracking.lineage import lineage_text, trace
from spikejoule.tracking.pareto import checked_front, compare_runs, front_text
from spikejoule.tracking.project import check_limits, experiments, find_revision
from spikejoule.tracking.publishing import Publication
from spikejoule.tracking.queries import TAG, column, finished_runs
from spikejoule.tracking.seeds import (
    comparable_runs,
    priced_runs,
    seeds_table,
    seeds_text,
    write_seeds,
)
from spikejoule.tracking.store import Store, project_store
from spikejoule.tracking.verdict import recorded_contenders, verdict_text


def publish(options: argparse.Namespace) -> str:
    """Record the runs that outputs stand for; ArtifactError names those that cannot be."""
    from spikejoule.tracking.run_record import publish_revision, publish_workspace

    root = options.directory.resolve()
    if not (options.rev or options.experiments):
        return _published("workspace", publish_workspace(root))
    revisions = [find_revision(root, name) for name in options.rev] or experiments(root)
    problems = []
    for revision in revisions:
        name = revision.experiment or revision.commit
        try:
            sys.stdout.write(_published(name, publish_revision(root, revision)))
        except (ArtifactError, ParameterError) as error:
            problems.append(f"{name}: {error}")  # the others are recorded all the same
    if problems:
        raise ArtifactError("\n".join(problems))
    return ""


def check(options: argparse.Namespace) -> str:
    """What the limits say of the recorded run; LimitError if it is beyond them."""
    return f"{check_limits(options.directory.resolve())}\n"


def _published(what: str, publication: Publication) -> str:
    done = "added" if publication.added else "was there already"
    return f"{what}: MLflow run {publication.run_id} {done}\n"


def _recorded(options: argparse.Namespace) -> tuple[Params, Store]:
    """The parameters of the project, and the store of its runs."""
    params = load_params(options.directory / PARAMS_FILE)
    return params, project_store(options.directory, params.publish.experiment)


def front(options: argparse.Namespace) -> str:
    """The Pareto front of accuracy and synaptic events."""
    params, store = _recorded(options)
    if options.check is not None:
        return checked_front(options.check, store)
    compared = compare_runs(finished_runs(store), options.data)
    table = compared.table()
    if options.table is not None:
        table.write(options.table, compared.varied)
    if options.figure is not None:
        source = f"{compared.data_title}; {compared.n_runs} runs"
        chart = accuracy_front(table.rows, options.at_least, source)
        write_bytes(options.figure, chart.png())
    return front_text(compared, options.at_least, params.flattened())


def verdict(options: argparse.Namespace) -> str:
    """Which side needs less energy at equal accuracy."""
    params, store = _recorded(options)
    paths = artifact_paths(options.directory)
    compared = compare_runs(finished_runs(store), options.data)
    found = recorded_contenders(store, compared, paths["contenders"])
    settings = BootstrapSettings(
        params.energy_report.bootstrap_samples, params.evaluate.confidence, params.seed
    )
    profiles = load_profiles(paths["hardware"])
    table = VerdictTable.of(verdicts(found.contenders, profiles, LEVELS_PERCENT, settings))
    if options.table is not None:
        table.write(options.table)
    if options.fronts is not None:
        fronts_table(found.contenders, profiles).write(options.fronts)
    return verdict_text(table, found)


def seeds(options: argparse.Namespace) -> str:
    """Means of the runs that differ in their seed alone."""
    _, store = _recorded(options)
    runs = comparable_runs(finished_runs(store), options.data)
    energy_table = artifact_paths(options.directory)["energy_table"]
    table = seeds_table(priced_runs(store, runs, energy_table))
    if options.table is not None:
        write_seeds(options.table, table)
    title = column(runs, f"{TAG}data.title").fillna("data without a title")
    return seeds_text(table, title.iloc[0])


def version(options: argparse.Namespace) -> str:
    """Where a version of the model comes from."""
    _, store = _recorded(options)
    lineages = trace(options.reference, options.directory, store)
    if options.json:
        return json_text({"versions": lineages})
    return "\n".join(lineage_text(lineage) for lineage in lineages)
