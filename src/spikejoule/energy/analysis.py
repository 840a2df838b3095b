"""The energy analysis: what it starts from and assumes, the table that everything selects from, and
what is written of it.

Energies are in pJ. `EnergyAnalysis.table` prints the ledger: page, card, text, metrics and charts
are selections of its rows. Of it, `energy_rows` are those of metrics/energy.csv:

    network            ``snn`` over its whole window, or a baseline and its method
    phase              ``inference``, or ``forward``, ``backward``, ``optimizer`` of training
    term               an operation (`terms.TERMS`), or ``total``
    layer, class       empty: all of them
    count              operations per inference (a mean); of training, all of them (an integer)
    pj_low, pj, pj_high                    energy at the lower end, the value, the upper end of the
                       prices; `pj` is empty where there are brackets alone
    pj_standard_deviation                  over images
    pj_interval_low, pj_interval_high      bootstrap interval of the mean, from the lower end of the
                       prices to the upper
    status             ``priced``, ``unpriced`` (not in the total) or ``covered`` (within another
                       price)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.data.subject import DIGITS, Subject
from spikejoule.encoding.events import STEP_MS, Products
from spikejoule.energy.comparison import (
    BreakEven,
    RunVerdict,
    break_even,
    front_verdicts,
    own_points,
    pair_verdicts,
)
from spikejoule.energy.counting import INFERENCE, METHODS, OperationCounts
from spikejoule.energy.estimates import BootstrapSettings, Energy, count_statistics, rounded
from spikejoule.energy.front import FrontPoint, cheapest_reaching, read_front
from spikejoule.energy.ledger import (
    COUNTS,
    EARLY_EXIT,
    LAZILY,
    PJ,
    SPIKING,
    WHOLE_WINDOW,
    Accuracies,
    Ledger,
    Variant,
    averaged,
    baseline_variants,
    judges,
)
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.published import PublishedNetwork, front_points
from spikejoule.energy.terms import UPDATES
from spikejoule.energy.training import PHASES, TRAINING, TrainingRecord, count_training
from spikejoule.energy.words import sentences
from spikejoule.evaluation.measurement import EnergyProxies
from spikejoule.network.network import Network


def network_name(network: Network, encoding: str, pruned_percent: float = 0.0) -> str:
    """A spiking network in a few words: ``spiking 784-400-10 (latency), 96 % pruned, 8 bits``."""
    pruned = f", {pruned_percent:.3g} % pruned" if pruned_percent else ""
    widths = network.quantisation
    bits = "" if widths is None else f", {widths.weight_bits} bits"
    return f"spiking {network.sizes} ({encoding}){pruned}{bits}"


@dataclass(frozen=True, eq=False)
class AnalysisInputs:
    """What an analysis starts from.

    Attributes:
        title: of the data set.
        network: the spiking network.
        time_window: T, the steps of an inference.
        variants: the ways of running the network, the whole window with an update of every neuron
            in every step first; counted on each image, or on average where images are not recorded.
        proxies: dense operations, synaptic events, sparsity ratio.
        n_images: how many images the counts are of; None where not recorded.
        step_ms: what a step stands for, in milliseconds.
        encoding: name of the encoding by which images became spikes; None where the samples are
            events.
        rate_hz: firing rate of the brightest pixel; None for an encoding without one.
        products: how often hardware multiplies constant currents; None for an input of spikes.
        labels: class of each image, int64 [N]; None where not known.
        baselines: conventional networks on the same test set; the first N images are compared.
        training: None where the counts of training are not recorded.
        value_macs_per_inference: multiply-accumulates of values that are no spikes, a mean; None
            where the network has none.
        facts: what else there is to say of the network, label and value.
        subject: what the samples show.
        counted_in: a ``graph`` that was run, or the ``modules`` of a running model; empty for a
            checkpoint of this project.
        level_percent: the accuracy of the verdict; None for the network's own on validation images.
        published: published conventional networks of the same data, with which the network is
            compared; without any, it is compared with `baselines`.
        not_counted: what ran and was not counted, by name; then there is no verdict.
        average_pixels: side of the squares whose means the networks read; the `variants` hold what
            making them takes.
    """

    title: str
    network: Network
    time_window: int
    variants: tuple[Variant, ...]
    proxies: EnergyProxies
    n_images: int | None
    step_ms: float = STEP_MS
    encoding: str | None = None
    rate_hz: float | None = None
    products: Products | None = None
    labels: NDArray[np.int64] | None = None
    baselines: tuple[BaselineCounts, ...] = ()
    training: TrainingRecord | None = None
    subject: Subject = DIGITS
    value_macs_per_inference: float | None = None
    facts: tuple[tuple[str, str], ...] = ()
    counted_in: str = ""
    level_percent: float | None = None
    published: tuple[PublishedNetwork, ...] = ()
    not_counted: tuple[str, ...] = ()
    average_pixels: int = 1

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and what is assumed, a sentence each."""
        return sentences(
            self.counted_in or "inference",
            quantisation=self.network.quantisation,
            products=self.products,
            from_sensor=self.encoding is None,
        )

    @property
    def variant(self) -> Variant:
        """The network over its whole window, every neuron updated in every step."""
        return self.variants[0]

    @property
    def operations(self) -> OperationCounts:
        """Its operations: of each image, or on average where images are not recorded."""
        return self.variants[0].operations

    @property
    def accuracy(self) -> Accuracies | None:
        """Of the network; None where it is not recorded."""
        return self.variants[0].accuracies

    @property
    def guessing_percent(self) -> float:
        """The accuracy of guessing: of always naming the most frequent class."""
        uniform = 100 / self.network.n_output
        if self.labels is None:
            return uniform
        most_frequent = np.unique(self.labels, return_counts=True)[1].max()
        return max(uniform, 100 * float(most_frequent) / len(self.labels))

    @property
    def compared_at_percent(self) -> float | None:
        """The accuracy at which the network is compared; None where it is not known."""
        return self.variant.validation_percent if self.level_percent is None else self.level_percent

    @property
    def is_guessing(self) -> bool:
        """Whether the network is no better than guessing at the accuracy of the comparison."""
        level = self.compared_at_percent
        return level is not None and level <= self.guessing_percent

    @property
    def no_verdict(self) -> str:
        """Why there is no verdict, in a sentence; empty where nothing prevents one."""
        level = self.compared_at_percent
        if self.not_counted:
            return f"No verdict: not everything was counted ({', '.join(self.not_counted)})."
        if not self.baselines and not self.published:
            return "No conventional network was counted: there is nothing to compare with."
        if level is None:
            return (
                "No verdict: the network's validation accuracy is not recorded, so no "
                "conventional network of equal accuracy can be chosen."
            )
        if self.is_guessing:
            return (
                f"No verdict: an accuracy of {level:.2f} % is no better than guessing "
                f"({self.guessing_percent:.2f} %)."
            )
        return ""

    @property
    def is_of_equal_size(self) -> bool:
        """Whether the conventional networks of `model.hidden` have the layers of this network."""
        own = self.network
        sizes = own.layer_sizes[1:] if own.model is None or own.is_plain else ()
        given = [one.architecture for one in self.baselines if one.equal_size]
        return all(one.layer_sizes[1:] == sizes for one in given)

    @property
    def spikes_per_input(self) -> float:
        """Spikes of an input unit over the window, a mean."""
        operations, place = self.operations, ("spike_routed", self.network.input.name)
        routed = [(one.term, one.place) == place for one in operations.columns]
        return float(operations.means[routed].sum()) / self.network.n_input

    @property
    def neuron_updates(self) -> tuple[int, float | None]:
        """Neuron updates per inference: one in every step, and those of event-driven hardware.

        The second is None where images are not recorded, unless biases make the two the same.
        """
        clocked = self.time_window * sum(one.n_out for one in self.network.layers[1:])
        for one in self.variants:
            if one.method == WHOLE_WINDOW + LAZILY:
                return clocked, float(one.operations.of(*UPDATES).sum(axis=1).mean())
        is_counted = self.operations.n_images is not None and not self.counted_in
        return clocked, float(clocked) if is_counted or self.network.has_bias else None


COLUMNS: Final = ("profile", "network", "phase", "term", "layer", "class", "count", *PJ, "status")
"""Columns of metrics/energy.csv."""
SNN: Final = "snn"
"""The network of the analysis, over its whole window, among the networks of the table; run in
another way, that follows after a comma."""
TOTAL: Final = "total"
PJ_PER_NJ: Final = 1e3
PJ_PER_MJ: Final = 1e9


@dataclass(frozen=True, eq=False)
class EnergyAnalysis:
    """Everything that the energy report shows.

    Attributes:
        inputs: what was counted, and of what.
        bootstrap: how intervals were drawn.
        chosen: the price list of the headline: energy, verdict and ratio.
        arithmetic: a price list of arithmetic only, for a second figure and for training; None
            without one.
        ledger: the long table: the network over its whole window, its other variants, the
            conventional networks, and training.
        table: under every profile, the rows of the network in every way of running it, of the
            conventional networks of equal size, and of training, each with its totals. A row maps
            `COLUMNS`, the spread of the counts (`COUNTS`), and the width and memory of a word
            (`Column`) to cells. NaN is what is not known, and what a row is not about. A total with
            a class is over its images; that of the phase ``training`` is over all phases.
        comparisons: with the conventional networks of equal size, in every way of running them;
            none under a profile that does not compare, or whose numbers are not the network's.
        verdicts: the network against the front of conventional networks at its accuracy, under
            every price list that compares; empty where `AnalysisInputs.no_verdict` says why.
        early_verdicts: the same for the network with early exit.
    """

    inputs: AnalysisInputs
    bootstrap: BootstrapSettings
    chosen: HardwareProfile
    arithmetic: HardwareProfile | None
    ledger: Ledger
    table: tuple[dict[str, Any], ...]
    comparisons: tuple[RunVerdict, ...]
    verdicts: tuple[RunVerdict, ...] = ()
    early_verdicts: tuple[RunVerdict, ...] = ()

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and what is assumed, of inference and of training, a sentence each."""
        training = self.inputs.training
        return self.inputs.assumptions + (() if training is None else training.assumptions)

    @property
    def has_intervals(self) -> bool:
        """Whether counts are known image by image, of more than one; if not, there are means."""
        return (self.inputs.operations.n_images or 0) > 1

    @property
    def baselines(self) -> tuple[Variant, ...]:
        """The conventional networks, in every way of running them."""
        return tuple(one for one in self.ledger.variants if one.side != SPIKING)

    @property
    def answer(self) -> tuple[str, ...]:
        """The verdict, the network's own energy and what it holds, a sentence each."""
        return self.says("answer")

    def says(self, template: str) -> tuple[str, ...]:
        """The sentences of a template of the folder `sentences` about this analysis."""
        return sentences(template, analysis=self)

    @property
    def shown(self) -> tuple[HardwareProfile, ...]:
        """The price list of the headline, and that of the second figure if there is another."""
        if self.arithmetic is None or self.arithmetic.id == self.chosen.id:
            return (self.chosen,)
        return self.chosen, self.arithmetic

    def contains(self, *phases: str, profile: HardwareProfile | None = None) -> str:
        """What a total of phases holds under a price list, by default the headline's, and what it
        does not."""
        prices = profile or self.chosen
        rows = [row for phase in phases for row in self.records(phase=phase, profile=prices.id)]
        terms = list(dict.fromkeys(row["term"] for row in rows))
        return " ".join(sentences("contains", terms=terms, profile=prices))

    def select(self, **values: str) -> list[dict[str, Any]]:
        """Rows of the table with these values, each with its `energy`, None where it has no price.

        Unless the values say otherwise, of the network's inference under the chosen profile.
        """
        wanted = {"profile": self.chosen.id, "network": SNN, "phase": INFERENCE} | values
        return [
            {**row, "energy": None if np.isnan(row["pj_low"]) else Energy.of(row[n] for n in PJ)}
            for row in self.table
            if all(row[name] == value for name, value in wanted.items())
        ]

    def records(self, **values: str) -> list[dict[str, Any]]:
        """The same without totals."""
        return [row for row in self.select(**values) if row["term"] != TOTAL]

    def total(self, **values: str) -> Energy:
        """The energy of an inference; `values` as of `select`. Nothing priced is 0."""
        rows = self.select(**{"term": TOTAL, **values})
        whole = next(row["energy"] for row in rows if np.isnan(row["class"]))
        return whole or Energy(0.0, 0.0, 0.0)

    @property
    def classes(self) -> list[dict[str, Any]]:
        """Each class: its label, `class`, its images, `n_images`, and their `energy`."""
        return [
            {**row, "n_images": int((self.inputs.labels == row["class"]).sum())}
            for row in self.select(term=TOTAL)
            if not np.isnan(row["class"])
        ]

    def terms(self, status: str, **values: str) -> tuple[str, ...]:
        """Terms of a status: in the total, ``covered`` by others' prices, or not in it."""
        return tuple(dict.fromkeys(row["term"] for row in self.records(**values)
                                   if row["status"] == status))  # fmt: skip

    @property
    def verdict(self) -> RunVerdict | None:
        """The verdict of the headline; None where there is none."""
        return next((one for one in self.verdicts if one.profile == self.chosen.id), None)

    @property
    def early_verdict(self) -> RunVerdict | None:
        """The same for the network with early exit."""
        return next((one for one in self.early_verdicts if one.profile == self.chosen.id), None)

    @property
    def conventional_points(self) -> list[FrontPoint]:
        """The conventional networks of the comparison under the headline's price list: published
        ones of the same data, or else those of the run."""
        published = front_points(self.inputs.published, self.chosen)
        return published or own_points(self.ledger, self.chosen.id)

    @property
    def n_conventional(self) -> int:
        """How many networks these are; each is there dense and zero-skipping."""
        return len({point.name.rpartition(", ")[0] for point in self.conventional_points})

    @property
    def without_verdict(self) -> str:
        """Why the headline has no verdict, in a sentence; empty where it has one."""
        if self.verdict is not None:
            return ""
        if self.inputs.no_verdict:
            return self.inputs.no_verdict
        title, bits = self.chosen.title, self.inputs.variant.weight_bits
        judges_network = judges(self.chosen, self.inputs.variant)
        if not judges_network or not self.chosen.judges_width(bits):
            return f"No verdict: “{title}” does not compare networks of this kind."
        return f"No verdict: no conventional network is priced under “{title}”."

    @property
    def compares_with_published(self) -> bool:
        """Whether the headline's ratio is to published networks."""
        return bool(front_points(self.inputs.published, self.chosen))

    @property
    def closest_baseline(self) -> str:
        """Of the run's own conventional networks the cheapest, under the headline's prices, of at
        least the accuracy of the verdict; empty without a verdict or such a network."""
        verdict = self.verdict
        if verdict is None:
            return ""
        points = own_points(self.ledger, self.chosen.id)
        reaching = [one for one in points if one.validation_percent >= verdict.level_percent]
        return min(reaching, key=lambda one: one.middle_pj).name if reaching else ""

    @property
    def early(self) -> Energy | None:
        """The energy of an inference with early exit; None where there is none."""
        rows = self.select(network=f"{SNN}, {EARLY_EXIT}", term=TOTAL)
        return rows[0]["energy"] if rows else None

    def break_even(self, one: RunVerdict | None) -> BreakEven | None:
        """Where the network stops winning against the conventional one of a verdict.

        None where there is none, prices are brackets alone, or the network has no spikes; and of
        another way of running it than over its whole window.
        """
        inputs = self.inputs
        if one is None or one.spiking != inputs.variant.name or not one.conventional:
            return None
        spikes, rate_hz = inputs.spikes_per_input, inputs.rate_hz
        return break_even(self.ledger, 0, one.profile, one.conventional_pj, spikes, rate_hz)

    @property
    def training_prices(self) -> HardwareProfile:
        """The price list of training's energy: that of arithmetic only, if there is one, since no
        price list prices the memory accesses of the backward pass."""
        return self.chosen if self.arithmetic is None else self.arithmetic

    @property
    def training(self) -> Energy | None:
        """All of training under `training_prices`; None where its counts are not recorded, or a
        phase has no price there."""
        if self.inputs.training is None:
            return None
        prices = self.training_prices
        if None in [self.phase_of_training(phase, prices) for phase in PHASES]:
            return None
        return self.total(phase=TRAINING, profile=prices.id)

    def phase_of_training(self, phase: str, prices: HardwareProfile) -> Energy | None:
        """The energy of a phase of training under a price list that has a price for it; None if
        it has none."""
        (row,) = self.select(phase=phase, profile=prices.id, term=TOTAL)
        energy: Energy | None = row["energy"]
        return energy

    @property
    def training_per_point(self) -> Energy | None:
        """The same over the percentage points by which the best validation accuracy exceeds
        guessing; None if it does not, or is not recorded."""
        record = self.inputs.training
        best = None if record is None else record.best_validation_accuracy_percent
        gained = 0.0 if best is None else best - 100 / self.inputs.network.n_output
        if self.training is None or gained <= 0:
            return None
        return Energy.of(np.array(self.training.numbers) / gained)

    @property
    def inferences_of_training(self) -> float | None:
        """Inferences that take as much energy as training, under the same prices; None where the
        prices are ranges, or an inference costs nothing."""
        each, spent = self.total(profile=self.training_prices.id).value_pj, self.training
        return spent.value_pj / each if spent and spent.value_pj is not None and each else None

    @property
    def of_chosen(self) -> tuple[RunVerdict, ...]:
        """The comparisons of the chosen profile."""
        return tuple(one for one in self.comparisons if one.profile == self.chosen.id)


def analyse(
    inputs: AnalysisInputs,
    profiles: Mapping[str, HardwareProfile],
    chosen: HardwareProfile,
    arithmetic: HardwareProfile | None,
    bootstrap: BootstrapSettings,
) -> EnergyAnalysis:
    """Price what was counted under every profile, and compare.

    Args:
        inputs: counts, and what they are of.
        profiles: by id, from `load_profiles`.
        chosen: the price list of the headline, one of them.
        arithmetic: a price list of arithmetic only, one of them; None for no second figure.
        bootstrap: how to draw intervals.

    Raises:
        ArtifactError: a baseline was counted on fewer images than the network.
    """
    spiking = inputs.variants
    n_images = inputs.operations.n_images
    if n_images is None:  # means alone are known: baselines are compared on all of theirs
        n_images = min((len(one.macs_nonzero) for one in inputs.baselines), default=0)
    baselines = baseline_variants(inputs.baselines, n_images)
    baselines = averaged(baselines, inputs.average_pixels, inputs.network.n_input)
    compared = (*spiking, *baselines)
    conventional = range(len(spiking), len(compared))
    training: list[Variant] = []
    if inputs.training is not None:
        counts = count_training(inputs.training)
        whole = replace(counts, counts=counts.counts.sum(axis=0)[None])
        training = [replace(inputs.variant, method=TRAINING, operations=whole)]
    ledger = Ledger.of((*compared, *training), profiles.values(), bootstrap)
    is_equal = [one.equal_size for one in inputs.baselines for _ in METHODS]
    equal_sizes = [one for one, equal in zip(conventional, is_equal, strict=True) if equal]
    sized: list[RunVerdict] = []
    for number in equal_sizes if not (inputs.not_counted or inputs.is_guessing) else ():
        sized += pair_verdicts(ledger, 0, number)
    comparisons = tuple(sorted(sized, key=lambda one: [*profiles].index(one.profile)))
    published = {name: front_points(inputs.published, one) for name, one in profiles.items()}
    # Networks that were named to be compared with are compared as they are.
    read = read_front if inputs.level_percent is None else cheapest_reaching
    judged: dict[str, tuple[RunVerdict, ...]] = {}
    for number, variant in enumerate(spiking):
        level = inputs.level_percent or variant.validation_percent
        is_judged = variant.method in (WHOLE_WINDOW, EARLY_EXIT) and not inputs.no_verdict
        if is_judged and level is not None:
            judged[variant.method] = tuple(front_verdicts(ledger, number, level, published, read))
    return EnergyAnalysis(
        inputs=inputs,
        bootstrap=bootstrap,
        chosen=chosen,
        arithmetic=arithmetic,
        ledger=ledger,
        table=_table(inputs, ledger, comparisons, bootstrap),
        comparisons=comparisons,
        verdicts=judged.get(WHOLE_WINDOW, ()),
        early_verdicts=judged.get(EARLY_EXIT, ()),
    )


def _table(
    inputs: AnalysisInputs,
    ledger: Ledger,
    comparisons: Sequence[RunVerdict],
    bootstrap: BootstrapSettings,
) -> tuple[dict[str, Any], ...]:
    """The table of an analysis."""
    operations, labels, by_class = inputs.operations, inputs.labels, {}
    if labels is not None and operations.n_images is not None:
        for label in np.unique(labels):
            (of_class,) = count_statistics([operations.counts[labels == label]], bootstrap)
            by_class[float(label)] = of_class
    names = [one.name for one in ledger.variants]
    cells, widths = (*COLUMNS, *COUNTS[1:]), ("bits", "memory_bits")
    found: list[dict[str, Any]] = []

    def add(
        profile: HardwareProfile, number: int, network: str, totals: Sequence[dict[str, Any]] = ()
    ) -> None:
        # Of what is compared, and of training, the totals alone have a spread.
        rows = ledger.rows(number, profile, number == 0)
        for row in (*rows, *(totals or [_total(INFERENCE, ledger.total(number, profile.id))])):
            known = {"layer": row["place"], "profile": profile.id, "network": network, **row}
            found.append({name: known.get(name, np.nan) for name in cells})
            found[-1] |= {name: float(row.get(name, np.nan)) for name in widths}

    for profile in ledger.profiles:
        weights = ledger.weights(0, profile.id)
        classes = [_total(INFERENCE, one.energy(weights), of) for of, one in by_class.items()]
        add(profile, 0, SNN, [_total(INFERENCE, ledger.total(0, profile.id)), *classes])
        for number, other in enumerate(inputs.variants[1:], start=1):
            add(profile, number, f"{SNN}, {other.method}")
        for name in (one.conventional for one in comparisons if one.profile == profile.id):
            add(profile, names.index(name), name)
    for profile in ledger.profiles if inputs.training is not None else ():
        last = len(names) - 1
        phases = [_total(phase, ledger.total(last, profile.id, phase)) for phase in PHASES]
        add(profile, last, SNN, [*phases, _total(TRAINING, ledger.total(last, profile.id))])
    return tuple(found)


def _total(phase: str, energy: Energy, label: float = np.nan) -> dict[str, Any]:
    status = "unpriced" if np.isnan(energy.low_pj) else "priced"
    figures = dict(zip(PJ, energy.numbers, strict=True))
    return {"phase": phase, "term": TOTAL, "place": "", "class": label, "status": status, **figures}


def headline(analysis: EnergyAnalysis) -> dict[str, Any]:
    """The headline numbers; those that are not known are left out.

    `energy_nj` is the energy per inference under the price list `profile`, `ratio` how many times
    that of the conventional front at the same accuracy it is; `ratio_bound` is there where the
    ratio is a bound. `arithmetic_nj` and the energy of training are those under
    `arithmetic_profile`. `_low` and `_high` are the ends of the interval of the mean, at the lower
    and at the upper end of the prices. Neuron updates are one a neuron and step, and those of
    event-driven hardware (`Measurement.lazy_updates`).
    """
    inputs, verdict = analysis.inputs, analysis.verdict
    clocked, lazy = inputs.neuron_updates
    numbers: dict[str, Any] = {
        "profile": analysis.chosen.id,
        **_nanojoules("energy", analysis.total()),
        "neuron_updates_per_inference": clocked,
        "neuron_updates_lazy_per_inference": lazy,
    }
    if analysis.arithmetic is not None:
        numbers["arithmetic_profile"] = analysis.arithmetic.id
        total = analysis.total(profile=analysis.arithmetic.id)
        numbers |= _nanojoules("arithmetic", total)
    # Under prices that include memory, no phase but the forward passes has a price.
    prefix = "training" if analysis.arithmetic is None else "training_arithmetic"
    numbers |= {
        f"{prefix}_mj": _millijoules(analysis.training),
        f"{prefix}_per_percentage_point_mj": _millijoules(analysis.training_per_point),
        f"{prefix}_in_inferences": analysis.inferences_of_training,
    }
    names = ("equal_size_dense_ratio", "equal_size_zero_skipping_ratio")
    for comparison, name in zip(analysis.of_chosen, names, strict=False):
        numbers |= _ratio(name, comparison)
    if verdict is not None:
        numbers |= _ratio("ratio", verdict)
        numbers |= {
            "ratio_bound": verdict.ratio_bound or None,
            "conventional": verdict.conventional,
            "conventional_below": verdict.conventional_below or None,
            "conventional_nj": verdict.conventional_pj and verdict.conventional_pj / PJ_PER_NJ,
            "price_lists_won": sum(one.outcome == "snn" for one in analysis.verdicts),
            "price_lists_compared": len(analysis.verdicts),
        }
    found = {name: rounded(number) for name, number in numbers.items()}
    found |= inputs.proxies.as_metrics()
    del found["per_layer"]
    return {name: number for name, number in found.items() if number is not None}


def _nanojoules(name: str, energy: Energy) -> dict[str, float | None]:
    value_pj = energy.value_pj
    return {
        f"{name}_nj": None if value_pj is None else value_pj / PJ_PER_NJ,
        f"{name}_low_nj": energy.lowest_pj / PJ_PER_NJ,
        f"{name}_high_nj": energy.highest_pj / PJ_PER_NJ,
    }


def _ratio(name: str, verdict: RunVerdict) -> dict[str, float | None]:
    return {
        name: verdict.ratio,
        f"{name}_low": verdict.ratio_low,
        f"{name}_high": verdict.ratio_high,
    }


def _millijoules(energy: Energy | None) -> float | None:
    return None if energy is None or energy.value_pj is None else energy.value_pj / PJ_PER_MJ


def energy_rows(analysis: EnergyAnalysis) -> Iterator[list[Any]]:
    """The rows of metrics/energy.csv, with a cell for each of `COLUMNS`."""
    for row in analysis.table:
        if row["phase"] == TRAINING or row["network"].startswith(f"{SNN}, "):
            continue
        whole = ("class",) if row["phase"] == INFERENCE else ("class", "count")
        cells = ((name, row[name]) for name in COLUMNS)
        yield ["" if of != of else int(of) if name in whole else rounded(of) for name, of in cells]


def analysis_values(analysis: EnergyAnalysis) -> dict[str, Any]:
    """The analysis as JSON can hold it: `energies` are the rows of its table, null for NaN, and
    what is not known of the inputs is left out."""
    inputs = analysis.inputs
    known = {
        "data": inputs.title,
        "accuracy": inputs.accuracy and asdict(inputs.accuracy),
        "n_images": inputs.n_images,
        "proxies": inputs.proxies.as_metrics(),
        "value_macs_per_inference": inputs.value_macs_per_inference,
        "facts": dict(inputs.facts) or None,
    }

    def judged(found: Sequence[RunVerdict]) -> list[dict[str, Any]]:
        limits = [analysis.break_even(one) for one in found]
        return [
            one.rounded.model_dump() | {"break_even": limit and asdict(limit)}
            for one, limit in zip(found, limits, strict=True)
        ]

    return {
        "headline": headline(analysis),
        "answer": analysis.answer,
        "inputs": {name: value for name, value in known.items() if value is not None},
        "profiles": [profile.model_dump() for profile in analysis.ledger.profiles],
        "energies": [
            {name: None if cell != cell else cell for name, cell in row.items()}
            for row in analysis.table
        ],
        "equal_size": judged(analysis.comparisons),
        "verdicts": judged(analysis.verdicts),
        "early_verdicts": judged(analysis.early_verdicts),
        "assumptions": analysis.assumptions,
    }
