"""The verdict over all recorded runs: their spiking networks against their conventional ones.

Every run stores the networks that it counted, of both sides (`energy.ledger`). Those of
the runs that `pareto.compare_runs` compares, which were all measured on the same images, are
compared here, with the conventional ones of runs with the same spiking network again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spikejoule.core.errors import StoreError
from spikejoule.core.text import text_table
from spikejoule.energy.estimates import joules
from spikejoule.energy.ledger import SPIKING, Variant, load_variants
from spikejoule.energy.tables import VerdictRow, VerdictTable
from spikejoule.energy.words import OUTCOMES
from spikejoule.tracking.pareto import ComparedRuns
from spikejoule.tracking.queries import opened_to_read, read_stored
from spikejoule.tracking.store import Store


@dataclass(frozen=True, eq=False)
class RecordedContenders:
    """The networks of the compared runs.

    Attributes:
        contenders: of both sides, on the same images.
        n_runs: runs that they come from.
        without: names of the runs that stored none, from before networks were.
    """

    contenders: tuple[Variant, ...]
    n_runs: int
    without: tuple[str, ...]


def recorded_contenders(store: Store, compared: ComparedRuns, artifact: Path) -> RecordedContenders:
    """The networks that compared runs have stored.

    Args:
        store: where the runs are recorded.
        compared: the runs.
        artifact: the file within a run.

    Raises:
        StoreError: the store cannot be read, or no run has stored its networks.
        ArtifactError: a stored file is missing or damaged.
    """
    names = dict(zip(compared.points["run_id"], compared.points["name"], strict=True))
    found: list[Variant] = []
    without: list[str] = []
    with opened_to_read(store) as (client, _):
        for run_id in (*names, *compared.repeated):
            name = names.get(run_id)
            folder = client.list_artifacts(run_id, artifact.parent.as_posix())
            is_stored = artifact.as_posix() in [one.path for one in folder]
            # A run without any file has lost them.
            if not is_stored and client.list_artifacts(run_id):
                without += [name] if name is not None else []
                continue
            # A repeated run brings its conventional networks alone.
            found += [
                one if name is None else _named(one, name)
                for one in read_stored(client, run_id, artifact, load_variants)
                if name is not None or one.side != SPIKING
            ]
    if not found:
        raise StoreError(
            "no run in the store holds the networks that it counted: run the pipeline, or `make "
            "frugal baselines`."
        )
    return RecordedContenders(_distinct(found), len(names) - len(without), tuple(without))


def verdict_text(table: VerdictTable, found: RecordedContenders) -> str:
    """The table in words for a terminal."""
    header = ("profile", "accuracy", "outcome", "ratio", "spiking", "conventional")
    rows = [
        (
            row.profile,
            f"{row.level_percent:g} %",
            OUTCOMES[row.outcome],
            "" if row.ratio is None else f"{row.ratio:.3g}",
            _cell(row, row.spiking, row.spiking_pj),
            _cell(row, row.conventional, row.conventional_pj),
        )
        for row in table.rows
    ]
    lines = [f"{len(found.contenders)} networks of {found.n_runs} runs", text_table(header, rows)]
    if found.without:
        lines.append(f"Without counted networks: {', '.join(sorted(set(found.without)))}")
    return "\n".join(lines) + "\n"


def _cell(row: VerdictRow, name: str, energy_pj: float | None) -> str:
    if not name:
        return "none"
    return name if energy_pj is None else f"{name}: {joules(energy_pj, 3)}"


def _named(contender: Variant, run: str) -> Variant:
    """A spiking network bears the name of its run, by which it can be trained again."""
    if contender.side != SPIKING:
        return contender
    return replace(contender, network=f"{run}: {contender.network.removeprefix('spiking ')}")


def _distinct(found: Sequence[Variant]) -> tuple[Variant, ...]:
    """Each network once, all on as many images as every run has."""
    n_images = min(len(one.operations.counts) for one in found)
    kept: dict[tuple[object, ...], Variant] = {}
    for one in found:
        counts = one.operations
        identity = (one.side, one.network, one.method, one.accuracies)
        shorter = replace(counts, counts=counts.counts[:n_images])
        kept.setdefault(identity, replace(one, operations=shorter))
    return tuple(kept.values())
