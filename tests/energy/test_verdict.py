"""Who needs less energy at equal accuracy: closed forms, and the table that keeps the answers."""

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.core.store import write_csv
from spikejoule.energy import BootstrapSettings, HardwareProfile, OperationCounts, load_profiles
from spikejoule.energy.comparison import Ratio, Verdict, verdicts
from spikejoule.energy.counting import Column
from spikejoule.energy.ledger import Accuracies, Side, Variant
from spikejoule.energy.prices import Price
from spikejoule.energy.tables import FrontsTable, VerdictTable, fronts_table
from spikejoule.energy.words import verdict_sentences
from tests.energy.by_hand import analysis, baseline, inputs, profile

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
    return Variant(side, network or side, "way", known, bits, bits < 32, operations)


def judged(
    variants: Sequence[Variant],
    level: float = 97.0,
    under: HardwareProfile = PLAIN,
    settings: BootstrapSettings = SETTINGS,
) -> Verdict:
    (found,) = verdicts(variants, {under.id: under}, (level,), settings)
    return found


def networks(found: Verdict) -> tuple[str | None, ...]:
    """What both sides send."""
    return tuple(
        None if one is None else one.name.removesuffix(", way")
        for one in (found.spiking, found.conventional)
    )


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
        found = verdicts(variants, {"p": PLAIN}, (97.0, 97.5, 98.0, 98.5, 99.0), SETTINGS)
        sent = [networks(one) for one in found]
        assert sent == [("c", "e"), ("b", "e"), ("b", "d"), ("b", None), (None, None)]
        assert [one.outcome for one in found] == ["snn", "ann", "snn", "snn", "neither"]
        assert found[1].ratio == Ratio(5 / 4, 5 / 4, 5 / 4)

    def test_brackets_are_chosen_by_their_middle(self) -> None:
        bracket = profile({"mac": Price(1.0, None, 3.0), "addition": Price(1.0, None, 9.0)})
        found = judged(
            [variant("spiking", [10, 10]), variant("conventional", [10, 10])], 97.0, bracket
        )
        assert found.ratio == Ratio(None, 10 / 30, 90 / 10)
        assert found.outcome == "undecided"

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
            found = verdicts(everyone, {"p": under}, (97.0,), SETTINGS)
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
        assert verdicts(wide, {"p": of_bytes}, (97.0,), SETTINGS) == ()

    def test_chips_judge_nobody(self) -> None:
        everyone = [variant("spiking", [1, 1], bits=8), variant("conventional", [2, 2], bits=8)]
        profiles = load_profiles()
        found = {one.profile.id for one in verdicts(everyone, profiles, (97.0,), SETTINGS)}
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
        assert verdicts(everyone, {one_sided.id: one_sided}, (97.0,), SETTINGS) == ()
        of_memory = profile({"state_access": 1.0}, "memory")
        result = analysis(inputs((baseline(10, [6] * 4),)), "p", of_memory)
        assert result.of_chosen == ()


class TestInterval:
    def test_is_that_of_the_ratio_of_means_of_the_same_draws(self) -> None:
        generator = np.random.default_rng(4)
        events = generator.poisson(900, 300)
        macs = events + generator.poisson(90, 300)
        ratio = judged(
            [variant("spiking", events.tolist()), variant("conventional", macs.tolist())],
            settings=BootstrapSettings(3000),
        ).ratio
        assert ratio is not None
        assert ratio.value == pytest.approx(events.mean() / macs.mean())
        # The delta method, of pairs.
        residual = events - ratio.value * macs
        error = residual.std(ddof=1) / macs.mean() / np.sqrt(300)
        assert ratio.low == pytest.approx(ratio.value - 1.96 * error, abs=0.15 * error)
        assert ratio.high == pytest.approx(ratio.value + 1.96 * error, abs=0.15 * error)
        assert ratio.outcome == "snn"

    @pytest.mark.parametrize(
        ("events", "outcome"), [([8, 9, 10], "snn"), ([10, 11, 12], "undecided"), ([12] * 3, "ann")]
    )
    def test_one_within_it_decides_nothing(self, events: list[int], outcome: str) -> None:
        found = judged([variant("spiking", events), variant("conventional", [11] * 3)])
        assert found.outcome == outcome


class TestOfARun:
    def test_the_level_is_the_networks_own_accuracy(self) -> None:
        given = [
            baseline(5, [1] * 4, "worse", validation_accuracy_percent=87.9),
            baseline(9, [9] * 4, "equal", validation_accuracy_percent=88.0),
        ]
        found = analysis(inputs(tuple(given))).verdict
        assert found is not None
        assert found.level_percent == 88.0
        assert found.conventional is not None
        assert found.conventional.name.startswith("equal, ")

    def test_in_words(self) -> None:
        def first(macs: int, **changed: float) -> str:
            given = inputs((baseline(macs, [macs] * 4, **changed),))
            return verdict_sentences(analysis(given))[0]

        at = "at equal accuracy (88.00 % on validation images) under 45nm-fp32"
        assert first(macs=100).startswith(f"The spiking network wins {at}: 69.6 pJ per inference")
        assert first(macs=10).startswith(f"The spiking network loses {at}: ")
        alone = first(macs=10, validation_accuracy_percent=80.0)
        assert "it stands alone under 45nm-fp32" in alone
        nobody = verdict_sentences(analysis(inputs()))
        assert nobody[0].startswith("No conventional network was counted")
        nameless = dataclasses.replace(inputs((baseline(10, [6] * 4),)), accuracy=None)
        assert (
            "does not record the network's validation accuracy"
            in (verdict_sentences(analysis(nameless))[0])
        )


class TestTable:
    def table(self) -> VerdictTable:
        variants = [
            variant("spiking", [3, 5, 7, 9], 98.7),
            variant("conventional", [6, 5, 4, 7], 98.2),
            variant("conventional", [60, 50, 40, 70], 98.8, network="large, ReLU"),
        ]
        memory = profile({"weight_read": Price(1.0, None, 2.0)}, "memory")
        profiles = {"p": PLAIN, "m": memory.model_copy(update={"id": "m"})}
        for one in variants:
            columns = (one.operations.columns[0], Column("weight_read", "x"))
            counts = np.repeat(one.operations.counts, 2, axis=1)
            object.__setattr__(one, "operations", OperationCounts(columns, counts, 1))
        levels = (97.0, 98.5, 98.75, 99.0)
        return VerdictTable.of(verdicts(variants, profiles, levels, SETTINGS))

    def test_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        table = self.table()
        table.write(tmp_path / "verdict.csv")
        rows = VerdictTable.read(tmp_path / "verdict.csv").rows
        assert rows == table.rows
        assert [row.outcome for row in rows[:4]] == ["undecided", "snn", "ann", "neither"]
        assert (rows[0].spiking_pj, rows[0].conventional_pj) == (6.0, 5.5)
        assert rows[0].ratio == pytest.approx(12 / 11)
        assert rows[1].conventional == "large, ReLU, way"
        assert (rows[2].spiking, rows[2].spiking_pj, rows[2].ratio) == ("", None, None)
        assert rows[4].ratio is None
        assert rows[4].ratio_low is not None

    @pytest.mark.parametrize(
        ("row", "changes", "words"),
        [
            (0, {"outcome": "snn"}, "the outcome is snn, but by its figures undecided"),
            (1, {"ratio_low": "1.01", "ratio": "2", "ratio_high": "3"}, "is snn, but .* ann"),
            (3, {"level_percent": "98.75"}, "two rows for one accuracy"),
            (0, {"ratio": "nan"}, "ratio"),
        ],
    )
    def test_rows_that_cannot_be(
        self, tmp_path: Path, row: int, changes: dict[str, str], words: str
    ) -> None:
        path = tmp_path / "verdict.csv"
        self.table().write(path)
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        rows[row] |= changes
        write_csv(path, list(rows[0]), [list(cells.values()) for cells in rows])
        with pytest.raises(ArtifactError, match=words):
            VerdictTable.read(path)

    def test_an_end_that_rounds_to_one_decides_nothing(self) -> None:
        found = judged([variant("spiking", [5, 5]), variant("conventional", [5, 5])])
        close = dataclasses.replace(found, ratio=Ratio(0.5, 0.4, 1 - 1e-12))
        assert close.outcome == "snn"
        (row,) = VerdictTable.of([close]).rows
        assert (row.outcome, row.ratio_high) == ("undecided", 1.0)


BOTH = profile({"synaptic_event": 1.0, "mac": 1.0}, "system")


def field(side: str, n: int) -> list[Variant]:
    """Networks of chance, some of them equal in energy or accuracy."""
    generator = np.random.default_rng(n)
    found = []
    for k in range(n):
        energy, percent = int(generator.integers(1, 12)), float(generator.integers(90, 99))
        one = variant(side, [energy, energy], network=f"{side} {k}")
        found.append(replace(one, accuracies=Accuracies(percent, percent - 1)))
    return found


def test_nobody_on_a_front_is_beaten_and_nobody_else_is_not() -> None:
    everyone = field("spiking", 40) + field("conventional", 30)
    rows = fronts_table(everyone, {BOTH.id: BOTH}).rows
    for side in ("spiking", "conventional"):
        members = [(one, one.operations.counts.mean()) for one in everyone if one.side == side]
        unbeaten = set()
        for one, energy in members:
            assert one.accuracies is not None
            here = one.accuracies.validation_percent
            if not any(
                other.accuracies is not None
                and spent <= energy
                and other.accuracies.validation_percent >= here
                and (spent < energy or other.accuracies.validation_percent > here)
                for other, spent in members
            ):
                unbeaten.add(one.name)
        assert {row.network for row in rows if row.side == side} == unbeaten


def test_round_trip_and_refusal(tmp_path: Path) -> None:
    path = tmp_path / "fronts.csv"
    table = fronts_table(field("spiking", 20) + field("conventional", 20), {BOTH.id: BOTH})
    table.write(path)
    assert FrontsTable.read(path).rows == table.rows
    header, *lines = path.read_text().splitlines()
    turned = [line for line in lines if ",spiking," in line][::-1]
    path.write_text("\n".join([header, *turned, ""]))
    with pytest.raises(ArtifactError, match="spiking front under p.* must ascend"):
        FrontsTable.read(path)
    assert FrontsTable.columns()[:3] == ("profile", "side", "network")
