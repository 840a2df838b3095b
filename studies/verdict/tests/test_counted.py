"""A published run is counted again as the library counted it."""

from collections import Counter
from pathlib import Path

import pytest

from spikejoule.baselines.counts import load_baseline
from spikejoule.compare.analysis import EnergyAnalysis, analyse
from spikejoule.compare.from_checkpoint import analysis_inputs
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.terms import TERMS
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.runs import load_runs
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.report.names import network_name
from spikejoule.tracking.recorded import measured_alike
from studies.verdict.project import Project

PROFILE = "lemaire-complete"


def analysis_of(project: Project) -> EnergyAnalysis:
    """Analyse the spikes that the pipeline measured, as `energy_report` does."""
    paths = {name: project.directory / path for name, path in project.paths.items()}
    checkpoint = Checkpoint.read(paths["checkpoint"])
    early = EarlyExit.read(paths["early_exit"])
    counted = load_runs(paths["counts"], checkpoint, early)
    inputs = analysis_inputs(checkpoint, counted, load_baseline(paths["baseline"]))
    profiles = project.profiles
    chosen = profiles[PROFILE]
    return analyse(inputs, profiles, chosen, None, BootstrapSettings(10))


def test_a_published_run_is_counted_as_the_library_counts_it(finished: Path) -> None:
    project = Project.at(finished)
    comparable = measured_alike(project.runs(), None)
    rows = project.reader().networks(comparable).rows
    by_name = {(row.network, row.method): row for row in rows}
    analysis = analysis_of(project)
    ledger = analysis.ledger
    inputs = analysis.inputs
    assert inputs.encoder is not None
    ours = network_name(inputs.network, inputs.encoder.name, inputs.activity.pruned)
    sides = Counter(variant.side for variant in ledger.variants)
    assert len(rows) == len(by_name) == sides.total()
    assert min(sides["spiking"], sides["conventional"]) >= 2

    for number, variant in enumerate(ledger.variants):
        row = by_name[variant.network or ours, variant.method]
        energy = row.energy(PROFILE)
        expected = ledger.total(number, PROFILE)
        assert energy is not None
        assert energy.middle_pj == pytest.approx(expected.value_pj, rel=1e-7)
        assert energy.standard_deviation_pj == pytest.approx(
            expected.standard_deviation_pj, rel=1e-7, abs=1e-6
        )
        terms = {column.term for column in variant.operations.columns}
        for term in terms & {name for name, term in TERMS.items() if term.part}:
            mean = variant.operations.mean_of(term)
            assert row.count(term) == pytest.approx(mean, rel=1e-7), term
