"""Commands on a project: publishing its runs, comparing them, and the way back from a version."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikejoule.cli.arguments import add_command, add_project_directory, json_text

if TYPE_CHECKING:
    from spikejoule.params import Params
    from spikejoule.tracking import Publication, Store


def add_run_commands(commands: Any) -> None:
    """Add the commands on a project to the parser's."""
    publish = add_command(
        commands,
        "publish",
        "record the runs that a project's outputs stand for in its MLflow store",
    )
    add_project_directory(publish)
    which = publish.add_mutually_exclusive_group()
    which.add_argument(
        "--rev",
        action="append",
        default=[],
        metavar="REVISION",
        help="an experiment, branch, tag or commit instead of the workspace (repeatable)",
    )
    which.add_argument("--experiments", action="store_true", help="every experiment that DVC keeps")
    publish.set_defaults(command=_publish)

    check = add_command(
        commands, "check", "fail if the recorded run needs more energy, or is worse, than allowed"
    )
    add_project_directory(check)
    check.set_defaults(command=_check)

    front = _add_comparison(
        commands,
        "front",
        "compare a project's recorded runs: accuracy against synaptic events",
        "every run",
    )
    front.add_argument(
        "--at-least",
        type=float,
        default=98.0,
        metavar="PERCENT",
        help="validation accuracy whose least energy is asked for (default: 98)",
    )
    front.add_argument("--figure", type=Path, metavar="FILE", help="write the figure (PNG)")
    front.add_argument(
        "--check", type=Path, metavar="FILE", help="compare a written table with its runs instead"
    )
    front.set_defaults(command=_front)

    verdict = _add_comparison(
        commands,
        "verdict",
        "which side needs less energy at equal accuracy, over a project's recorded runs",
        "every pair",
    )
    verdict.add_argument(
        "--fronts", type=Path, metavar="FILE", help="write both Pareto fronts (CSV)"
    )
    verdict.set_defaults(command=_verdict)

    seeds = _add_comparison(
        commands,
        "seeds",
        "average a project's recorded runs that differ in their seed alone",
        "the means",
    )
    seeds.set_defaults(command=_seeds)

    version = add_command(
        commands, "version", "show where a version of the model comes from, and how to restore it"
    )
    version.add_argument(
        "reference",
        metavar="VERSION|FILE",
        help="models:/surrogate-snn/N, models:/surrogate-snn@champion, or a complete checkpoint",
    )
    add_project_directory(version, option=True)
    version.add_argument("--json", action="store_true", help="print JSON")
    version.set_defaults(command=_version)


def _add_comparison(
    commands: Any, name: str, description: str, rows: str
) -> argparse.ArgumentParser:
    """A command that compares recorded runs of the same images."""
    parser = add_command(commands, name, description)
    add_project_directory(parser)
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        help="of runs of this data, as mnist or mnist5k (default: of the most frequent; for seeds "
        "of the latest run)",
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help=f"write {rows} (CSV)")
    return parser


def _publish(options: argparse.Namespace) -> str:
    from spikejoule.core.errors import ArtifactError, ParameterError
    from spikejoule.tracking.project import experiments, find_revision
    from spikejoule.tracking.run_record import publish_revision, publish_workspace

    root = options.directory.resolve()
    if not (options.rev or options.experiments):
        return _published("workspace", publish_workspace(root))
    revisions = (
        experiments(root)
        if options.experiments
        else [find_revision(root, name) for name in options.rev]
    )
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


def _check(options: argparse.Namespace) -> str:
    from spikejoule.tracking.project import check_limits

    return f"{check_limits(options.directory.resolve())}\n"


def _published(what: str, publication: "Publication") -> str:
    done = "added" if publication.added else "was there already"
    return f"{what}: MLflow run {publication.run_id} {done}\n"


def _recorded(options: argparse.Namespace) -> "tuple[Params, Store]":
    """The parameters of the project, and the store of its runs."""
    from spikejoule.core.yaml_files import PARAMS_FILE
    from spikejoule.params import load_params
    from spikejoule.tracking import project_store

    params = load_params(options.directory / PARAMS_FILE)
    return params, project_store(options.directory, params.publish.experiment)


def _front(options: argparse.Namespace) -> str:
    from spikejoule.core.store import write_bytes
    from spikejoule.report.charts.accuracy import accuracy_front
    from spikejoule.tracking import finished_runs
    from spikejoule.tracking.pareto import compare_runs, front_text

    params, store = _recorded(options)
    if options.check is not None:
        return _checked_front(options.check, store)
    compared = compare_runs(finished_runs(store), options.data)
    table = compared.table()
    if options.table is not None:
        table.write(options.table, compared.varied)
    if options.figure is not None:
        source = f"{compared.data_title}; {compared.n_runs} runs"
        chart = accuracy_front(table.rows, options.at_least, source)
        write_bytes(options.figure, chart.png())
    return front_text(compared, options.at_least, params.flattened())


def _verdict(options: argparse.Namespace) -> str:
    from spikejoule.core.yaml_files import artifact_paths
    from spikejoule.energy import BootstrapSettings, load_profiles
    from spikejoule.energy.tables import fronts_table
    from spikejoule.tracking import finished_runs
    from spikejoule.tracking.pareto import compare_runs
    from spikejoule.tracking.verdict import recorded_contenders, verdict_table, verdict_text

    params, store = _recorded(options)
    paths = artifact_paths(options.directory)
    compared = compare_runs(finished_runs(store), options.data)
    found = recorded_contenders(store, compared, paths["contenders"])
    settings = BootstrapSettings(
        params.energy_report.bootstrap_samples, params.evaluate.confidence, params.seed
    )
    profiles = load_profiles(paths["hardware"])
    table = verdict_table(found.contenders, profiles, settings)
    if options.table is not None:
        table.write(options.table)
    if options.fronts is not None:
        fronts_table(found.contenders, profiles).write(options.fronts)
    return verdict_text(table, found)


def _checked_front(path: Path, store: "Store") -> str:
    from spikejoule.core.errors import ArtifactError
    from spikejoule.tracking import compare_citations, front_citations

    cited = front_citations(path)
    lines, differs = [], False
    for one, differing in zip(cited, compare_citations(cited, store), strict=True):
        if differing is None:
            verdict = f"its run {one.run_id} is not in this store"
        else:
            verdict = f"differs from its run {one.run_id}: " + "; ".join(differing)
            verdict = verdict if differing else f"agrees with its run {one.run_id}"
        lines.append(f"{one.where}: {verdict}")
        differs = differs or bool(differing)
    if differs:
        raise ArtifactError("\n".join(lines))
    return "\n".join([*lines, ""])


def _seeds(options: argparse.Namespace) -> str:
    from spikejoule.core.yaml_files import artifact_paths
    from spikejoule.tracking import finished_runs
    from spikejoule.tracking.queries import TAG, column
    from spikejoule.tracking.seeds import comparable_runs, priced_runs, seed_rows, seeds_text

    _, store = _recorded(options)
    runs = comparable_runs(finished_runs(store), options.data)
    energy_table = artifact_paths(options.directory)["energy_table"]
    table = seed_rows(priced_runs(store, runs, energy_table))
    if options.table is not None:
        table.write(options.table)
    title = column(runs, f"{TAG}data.title").fillna("data without a title")
    return seeds_text(table, title.iloc[0])


def _version(options: argparse.Namespace) -> str:
    from spikejoule.tracking.lineage import lineage_text, lineage_values, trace

    _, store = _recorded(options)
    lineages = trace(options.reference, options.directory, store)
    if options.json:
        return json_text({"versions": [lineage_values(lineage) for lineage in lineages]})
    return "\n".join(lineage_text(lineage) for lineage in lineages)
