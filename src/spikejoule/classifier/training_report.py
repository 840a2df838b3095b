"""The energy of a training: joules, spikes and synaptic events, by epoch and layer."""

import os
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.compare.training import Range, TrainingEnergy
from spikejoule.core.store import write_text
from spikejoule.energy.estimates import PJ_PER_J
from spikejoule.pricing.printed import html_table, in_lines
from spikejoule.report.names import architecture
from spikejoule.report.page import PageContent, energy_page
from spikejoule.report.units import energy_words


@dataclass(frozen=True, eq=False)
class TrainingReport:
    """The energy of a training, under the price list of the headline.

    Attributes:
        analysis: counts and prices of the training, and of an inference on the
            validation samples; everything else is selected from it.
    """

    analysis: EnergyAnalysis

    @property
    def training(self) -> TrainingEnergy:
        """The priced training."""
        training = self.analysis.training
        assert training is not None
        return training

    @property
    def joules(self) -> Range | None:
        """Joules at both ends of prices and dataflows; None if a phase has no price."""
        total = self.training.total
        if total is None:
            return None
        return Range(total.low_pj / PJ_PER_J, total.high_pj / PJ_PER_J)

    @property
    def spikes(self) -> int:
        """Spikes of all layers in the forward passes."""
        return int(self._counts("spikes").to_numpy().sum())

    @property
    def synaptic_events(self) -> int:
        """Synaptic events of all connections in the forward passes."""
        return int(self._counts("events").to_numpy().sum())

    def _counts(self, kind: str) -> pd.DataFrame:
        """Return a field of `NodeCounts` by epoch (rows) and node (columns)."""
        nodes = self.training.record.activity.counts
        counts = {name: getattr(node, kind) for name, node in nodes.items()}
        return pd.DataFrame(
            {name: count for name, count in counts.items() if count is not None}
        )

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """A row per epoch: validation accuracy, spikes, events, and joules so far.

        The columns ``spikes_NAME`` have the spikes of a layer in the forward passes of
        the epoch, ``events_NAME`` the synaptic events of a connection.
        """
        accuracies = self.training.record.validation_accuracies_percent
        table = pd.DataFrame({"validation_accuracy_percent": accuracies})
        for kind in ("spikes", "events"):
            table = table.join(self._counts(kind).add_prefix(f"{kind}_"))
        if self.joules is not None:
            low, high = self.training.so_far_j
            table = table.assign(joules_low=low, joules_high=high)
        return table.set_index(pd.RangeIndex(1, len(table) + 1, name="epoch"))

    @cached_property
    def layers(self) -> pd.DataFrame:
        """A row per layer and connection: spikes, events and joules of all epochs.

        The joules are those of one dataflow, the first one of `training`; operations
        without a price are left out.
        """
        training = self.training
        columns = ["layer", "joules_low", "joules_high"]
        joules = [
            (row.layer, row.energy.low_pj / PJ_PER_J, row.energy.high_pj / PJ_PER_J)
            for row in training.ledger.rows(0, training.prices)
            if row.energy is not None
        ]
        table = pd.DataFrame(joules, columns=columns).groupby("layer").sum()
        # Augmentation is counted at a place of its own, which has no spikes.
        places = dict.fromkeys((*training.record.activity.counts, *table.index))
        table = table.reindex(list(places), fill_value=0.0)
        for kind in ("events", "spikes"):
            counts = self._counts(kind).sum()
            table.insert(0, kind, counts.reindex(table.index, fill_value=0))
        return table

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The printed lines, label and value."""
        training = self.training
        record = training.record
        prices = training.prices.id
        total = training.total
        energy = "no total" if total is None else energy_words(total)
        by_phase = [
            f"{phase} {energy_words(energy)}"
            for phase, energy in training.priced(prices).items()
        ]
        best = f"{record.best_validation_accuracy_percent:.2f} % of validation samples"
        shares = 100 * self.layers.joules_high / self.layers.joules_high.sum()
        by_layer = [f"{name} {share:.0f} %" for name, share in shares.items()]
        return [
            ("energy of training", f"{energy} under {prices}"),
            ("network", f"{architecture(record.network)}, {best} correct"),
            ("samples", f"{record.set_size:,} in each of {record.n_epochs} epochs"),
            ("spikes", f"{self.spikes:,}"),
            ("synaptic events", f"{self.synaptic_events:,} forward"),
            ("by phase", ", ".join(by_phase)),
            ("by layer", ", ".join(by_layer)),
            ("no price", ", ".join(training.unpriced(prices)) or "none"),
        ]

    def __str__(self) -> str:
        return in_lines(self.rows)

    def _repr_html_(self) -> str:
        return html_table(self.rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page, a self-contained HTML file."""
        write_text(path, energy_page(PageContent(self.analysis)))
