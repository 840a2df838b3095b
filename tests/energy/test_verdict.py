"""Who needs less energy at equal accuracy: closed forms, and the files that keep the answers."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.core.npz import write_npz
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.events import EventList
from spikejoule.energy import (
    BootstrapSettings,
    HardwareProfile,
    OperationCounts,
    count_operations,
    load_profiles,
)
from spikejoule.energy.bands import RecordedNetwork, among_recorded
from spikejoule.energy.comparison import Verdict, outcome_of, verdicts
from spikejoule.energy.counting import Column
from spikejoule.energy.ledger import (
    VARIANTS,
    Accuracies,
    Ledger,
    Side,
    Variant,
    baseline_variants,
    load_variants,
    save_variants,
    spiking_variants,
)
from spikejoule.energy.prices import Price
from spikejoule.evaluation.measurement import Activity, Measurement
from tests.energy.by_hand import analysis, baseline, inputs, profile
from tests.tools.tiny_network import ARCHITECTURE, HIDDEN, INPUT, OUTPUT, STATE

SETTINGS = BootstrapSettings(300)
PLAIN = profile({"mac": 1, "addition": 1})


def variant(
    side: Side,
    counts: Sequence[int],
    validation: float | None = 98.0,
    bits: int = 32,
    network: str = "",
    test: float = 97.5,
) -> Variant:
    """One that takes so many additions (or MACs) for each image: as many pJ under `PLAIN`."""
    term = "synaptic_event" if side == "spiking" else "mac"
    column = Column(term, "x", bits)
    operations = OperationCounts((column,), np.array([counts]).T, 1)
    known = None if validation is None else Accuracies(validation, test)
    return Variant(side, network or side, "way", known, bits, operations)


def judged(
    variants: Sequence[Variant],
    level: float = 97.0,
    under: HardwareProfile = PLAIN,
    settings: BootstrapSettings = SETTINGS,
) -> Verdict:
    (found,) = verdicts(Ledger.of(variants, [under], settings), (level,))
    return found


def all_judged(
    variants: Sequence[Variant], profiles: dict[str, HardwareProfile], *levels: float
) -> tuple[Verdict, ...]:
    return verdicts(Ledger.of(variants, profiles.values(), SETTINGS), levels)


def networks(found: Verdict) -> tuple[str, ...]:
    """What both sides send."""
    return tuple(name.removesuffix(", way") for name in (found.spiking, found.conventional))


def ends(found: Verdict) -> tuple[float | None, ...]:
    return found.ratio_low, found.ratio, found.ratio_high


class TestChoice:
    def test_each_side_sends_the_cheapest_that_reaches_the_level_on_validation_images(self) -> None:
        # What reaches more on test images is not chosen for it.
        variants = [
            variant("spiking", [9] * 3, 97.9, network="a"),
            variant("spiking", [5] * 3, 98.5, network="b"),
            variant("spiking", [1] * 3, 97.4, network="c", test=99.9),
            variant("conventional", [7] * 3, 98.0, network="d"),
            variant("conventional", [4] * 3, 97.5, network="e"),
            variant("conventional", [6] * 3, None, network="f"),
        ]
        found = all_judged(variants, {"p": PLAIN}, 97.0, 97.5, 98.0, 98.5, 99.0)
        sent = [networks(one) for one in found]
        assert sent == [("c", "e"), ("b", "e"), ("b", "d"), ("b", ""), ("", "")]
        assert [one.outcome for one in found] == ["snn", "ann", "snn", "snn", "neither"]
        assert ends(found[1]) == (5 / 4, 5 / 4, 5 / 4)

    def test_integers_alone_compete_under_a_profile_of_integers(self) -> None:
        everyone = [
            variant("spiking", [1, 1], network="float"),
            variant("spiking", [5, 5], bits=8, network="of 8 bits"),
            variant("conventional", [2, 2], network="ReLU"),
            variant("conventional", [6, 6], bits=8, network="ReLU of 8 bits"),
            variant("conventional", [3, 3], bits=4, network="ReLU of 4 bits"),
        ]
        chosen = {}
        for numbers in ("any", "float32", "int32", "int8", "float16"):
            under = PLAIN.model_copy(update={"numbers": numbers})
            found = all_judged(everyone, {"p": under}, 97.0)
            chosen[numbers] = [networks(one) for one in found]
        of_integers = [("of 8 bits", "ReLU of 4 bits")]
        assert chosen == {
            "any": [("float", "ReLU")],
            "float32": [("float", "ReLU")],
            "int32": of_integers,
            "int8": of_integers,
            "float16": [],
        }
        wide = [variant(side, [1, 1], bits=16) for side in ("spiking", "conventional")]  # type: ignore[arg-type]
        of_bytes = PLAIN.model_copy(update={"numbers": "int8"})
        assert all_judged(wide, {"p": of_bytes}, 97.0) == ()

    def test_chips_judge_nobody(self) -> None:
        everyone = [variant("spiking", [1, 1], bits=8), variant("conventional", [2, 2], bits=8)]
        profiles = load_profiles()
        found = {one.profile for one in all_judged(everyone, profiles, 97.0)}
        assert found == {
            name
            for name, one in profiles.items()
            if one.scope in ("arithmetic", "system") and one.numbers != "float16"
        }

    @pytest.mark.parametrize("term", ["synaptic_event", "mac"])
    def test_a_profile_that_prices_nothing_of_a_side_judges_nothing(self, term: str) -> None:
        """Nothing is divided by an energy of zero, and nobody wins by being left out."""
        everyone = [variant("spiking", [1, 1]), variant("conventional", [2, 2])]
        one_sided = profile({term: 1.0}, "system")
        assert all_judged(everyone, {one_sided.id: one_sided}, 97.0) == ()


class TestInterval:
    def test_is_that_of_the_ratio_of_means_of_the_same_draws(self) -> None:
        generator = np.random.default_rng(4)
        events = generator.poisson(900, 300)
        macs = events + generator.poisson(90, 300)
        found = judged(
            [variant("spiking", events.tolist()), variant("conventional", macs.tolist())],
            settings=BootstrapSettings(3000),
        )
        low, ratio, high = ends(found)
        assert ratio == pytest.approx(events.mean() / macs.mean())
        # The delta method, of pairs.
        residual = events - ratio * macs
        error = residual.std(ddof=1) / macs.mean() / np.sqrt(300)
        assert low == pytest.approx(ratio - 1.96 * error, abs=0.15 * error)
        assert high == pytest.approx(ratio + 1.96 * error, abs=0.15 * error)
        assert found.outcome == "snn"


def test_in_words_where_nobody_wins() -> None:
    """Who wins is in the page's tests."""
    alone = inputs((baseline(10, [10] * 4, validation_accuracy_percent=80.0),))
    nameless = inputs((baseline(10, [6] * 4),))
    unknown = dataclasses.replace(nameless.variant, accuracies=Accuracies(None, 90.0))
    nameless = dataclasses.replace(nameless, variants=(unknown,))
    for given, words in (
        (alone, "it stands alone under 45nm-fp32"),
        (inputs(), "No conventional network was counted"),
        (nameless, "does not record the network's validation accuracy"),
    ):
        assert words in analysis(given).answer[0]


def test_outcomes_and_ratios() -> None:
    variants = [
        variant("spiking", [3, 5, 7, 9], 98.7),
        variant("conventional", [6, 5, 4, 7], 98.2),
        variant("conventional", [60, 50, 40, 70], 98.8, network="large, ReLU"),
    ]
    bracket = profile({"mac": Price(1.0, None, 2.0), "addition": 1}, id="b")
    rows = all_judged(variants, {"p": PLAIN, "b": bracket}, 97.0, 98.5, 98.75, 99.0)
    assert [row.outcome for row in rows[:4]] == ["undecided", "snn", "ann", "neither"]
    assert (rows[0].spiking_pj, rows[0].conventional_pj) == (6.0, 5.5)
    assert rows[0].ratio == pytest.approx(12 / 11)
    assert (rows[1].conventional, rows[2].spiking) == ("large, ReLU, way", "")
    assert rows[2].spiking_pj is rows[2].ratio is rows[4].ratio is None
    assert rows[4].ratio_low is not None


def test_an_end_that_rounds_to_one_decides_nothing() -> None:
    assert outcome_of([True, True], 0.4, 1 - 1e-8) == "snn"
    assert outcome_of([True, True], 0.4, 1 - 1e-12) == "undecided"


def test_brackets_are_compared_by_the_middle_of_their_prices() -> None:
    """Own 99 to 203 by the interval, 100 to 200 by prices; recorded 100.3 to 200.7."""
    under = profile({"synaptic_event": [1, 2], "mac": [1, 2]}, "system")
    variants = [variant("spiking", [10] * 40), variant("conventional", [98, 102] * 20)]
    ledger = Ledger.of(variants, [under], SETTINGS)
    (own,) = verdicts(ledger, (97.0,))
    own = own.model_copy(update={"conventional_pj_low": 99.0, "conventional_pj_high": 203.0})
    row = RecordedNetwork(
        run="r", run_id="0" * 32, git_commit="c", data_source="mnist", side="conventional",
        network="recorded", method="dense", configuration="c", seed=1, weights_sha256="0" * 64,
        weight_bits=8, n_images=40, validation_percent=98.0, test_percent=97.0,
        **{f"{under.id}:pj_low": 100.3, f"{under.id}:pj_high": 200.7,
           f"{under.id}:pj_standard_deviation": 0.0},
    )  # fmt: skip
    assert among_recorded(own, [row], ledger) is own
    cheaper = row.model_copy(update={f"{under.id}:pj_high": 199.0})
    assert among_recorded(own, [cheaper], ledger).conventional == "recorded, dense"


def counted_networks() -> tuple[Variant, ...]:
    """A spiking network, whole and early, with its code, and two conventional ones, on 3 images."""
    layers = tuple(
        EventList.from_dense(
            np.array([dense, np.roll(dense, 1, axis=0), np.zeros((3, units), int)])
        )
        for dense, units in ((INPUT, 3), (HIDDEN, 2), (OUTPUT, 2))
    )
    measured = Measurement(STATE, ARCHITECTURE, layers, pruned=True)
    images = np.array([[255, 0, 9], [0, 0, 0], [1, 2, 3]], dtype=np.uint8)
    code, known = Poisson(time_window=3, max_rate=80.0), Accuracies(98.0, 97.9)
    early = np.array([1, 2, 3]), Accuracies(97.5, 97.0)
    return (
        *spiking_variants("ours, 8 bits", measured, code, images, known, early),
        *spiking_variants("unknown", measured, code, None, None),
        *(
            dataclasses.replace(one, weights_sha256=f"{place:064}")
            for place, one in enumerate(
                baseline_variants(
                    (baseline(10, [1, 2, 3]), baseline(7, [3, 3, 3], "8 bits", weight_bits=8)), 3
                )
            )
        ),
    )


def test_counted_networks_are_read_as_written(tmp_path: Path) -> None:
    written = counted_networks()
    save_variants(tmp_path / "c.npz", written)
    read = load_variants(tmp_path / "c.npz")
    assert len(read) == len(written) == 7
    for one, other in zip(read, written, strict=True):
        assert vars(one) | {"operations": None} == vars(other) | {"operations": None}
        assert one.operations.columns == other.operations.columns
        assert one.operations.counts.dtype == np.int64
        np.testing.assert_array_equal(one.operations.counts, other.operations.counts)
    found, expected = (all_judged(one, load_profiles(), 97.0, 98.0) for one in (read, written))
    assert found == expected


def test_a_file_from_before_checksums_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    save_variants(path, counted_networks())
    arrays = dict(VARIANTS.read(path))
    del arrays["sha256"]
    write_npz(path, VARIANTS.schema, arrays)
    assert {one.weights_sha256 for one in load_variants(path)} == {""}


def test_means_and_counts_that_the_file_cannot_hold_are_refused(tmp_path: Path) -> None:
    means = count_operations(Activity.of_layers(ARCHITECTURE, 3, np.array([[5.0, 3.0, 2.0]])))
    large = counted_networks()[0]
    large.operations.counts[0, 0] = 2**32
    for one in (large, Variant("spiking", "n", "way", None, 32, means)):
        with pytest.raises(ValueError, match=r"a mean alone, or has counts of 2\*\*32"):
            save_variants(tmp_path / "c.npz", [one])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("text", lambda text: np.where(text == "spiking", "wet", text)),
        ("0.columns", lambda values: np.char.add(values, "s")),
        ("3.sizes", None),
    ],
)
def test_damaged_counts_are_refused(tmp_path: Path, name: str, change: Any) -> None:
    path = tmp_path / "c.npz"
    save_variants(path, counted_networks())
    arrays = dict(VARIANTS.read(path))
    damaged = arrays.pop(name)
    if change is not None:
        arrays[name] = change(damaged)
    write_npz(path, VARIANTS.schema, arrays)
    with pytest.raises(ArtifactError, match=r"c\.npz: variants do not fit each other: [^\n]*$"):
        load_variants(path)
