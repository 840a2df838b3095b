"""Prices that depend on a width or on a memory's size, static power, and parts of a total."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.events import EventList
from spikejoule.energy import count_operations, load_profiles, price
from spikejoule.energy.contenders import baseline_contenders, spiking_contenders
from spikejoule.energy.operations import Column
from spikejoule.energy.parts import PARTS, energy_by_part
from spikejoule.energy.prices import Memory, Price, PriceBySize, PriceByWidth
from spikejoule.energy.static_power import static_energy
from spikejoule.energy.terms import DESCRIPTIONS
from spikejoule.energy.verdict_words import static_sentences
from spikejoule.evaluation.measurement import Measurement
from tests.energy.by_hand import analysis, baseline, inputs, profile
from tests.tools.tiny_network import ARCHITECTURE, HIDDEN, INPUT, OUTPUT, STATE

POINTS = ((100.0, 2.0), (300.0, 6.0))
CORE = """\
core:
  title: A core
  process: 28 nm
  year: 2020
  source: "A paper, doi:10.1000/1"
  scope: system
  evidence: derived
  unit: nJ
  memory:
    pj_per_byte: [[0, 0], [8192, 2.5]]
    parameters: joined
  prices:
    mac: {per_bit: 1, per_bit_squared: 0.5}
    weight_read: by_size
"""


def exactly(number: float) -> object:
    return Price(*[pytest.approx(number, rel=1e-14)] * 3)  # type: ignore[arg-type]


class TestByWidthAndSize:
    @pytest.mark.parametrize(
        ("constant", "per_bit", "squared", "bits", "expected"),
        [(1.5, 0, 0, 8, 1.5), (0, 0.25, 0, 8, 2.0), (0, 0, 0.5, 8, 32.0), (1, 2, 3, 4, 57.0)],
    )
    def test_by_width(
        self, constant: float, per_bit: float, squared: float, bits: int, expected: float
    ) -> None:
        found = PriceByWidth(constant, per_bit, squared).at(Column("mac", "x", bits))
        assert found == exactly(expected)

    @pytest.mark.parametrize(
        ("size_bytes", "per_byte"),
        [(0, 2), (40, 2), (100, 2), (150, 3), (200, 4), (300, 6), (301, 6), (10**9, 6)],
    )
    def test_by_size_lies_on_straight_lines(self, size_bytes: int, per_byte: float) -> None:
        column = Column("weight_read", "x", bits=4, memory_bits=8 * size_bytes)
        assert PriceBySize(Memory(POINTS)).at(column) == exactly(per_byte / 2)

    def test_an_access_costs_what_the_memory_holds(self) -> None:
        column = Column("weight_read", "x", bits=8, memory_bits=1000, parameters_bits=3000)
        assert PriceBySize(Memory(None, 13.0, 0.01)).at(column) == exactly(23.0)
        assert PriceBySize(Memory(None, 13.0, 0.01, joined=True)).at(column) == exactly(43.0)
        # What is no parameter of a layer lies in a memory of its own.
        state = Column("state_access", "x", bits=8, memory_bits=1000)
        assert PriceBySize(Memory(None, 13.0, 0.01, joined=True)).at(state) == exactly(23.0)

    def test_shipped_ones(self) -> None:
        profiles = load_profiles()
        mac8 = Column("mac", "x", 8)
        # 3.7 pJ and 0.9 pJ of 32 bits, the first as the square of the width
        yan = profiles["yan-spyx"].price_at(mac8)
        assert yan == exactly(3.7 / 16 + 0.9 / 4)
        word = Column("weight_read", "x", 32, 8 * 1_048_576 * 2, 8 * 1_048_576 * 2)
        assert profiles["lemaire-spikingjelly"].price_at(word) == exactly(100.0)
        qualia = profiles["lemaire-qualia"].price_at(dataclasses.replace(word, memory_bits=32_000))
        assert qualia == exactly(13.5488)


# (what is replaced, by what, the line of the fault, words of the reason)
FAULTS = [
    ("weight_read: by_size", "weight_read: by_width", 14, "must be a number, not 'by_width'"),
    ("{per_bit: 1,", "{per_byte: 1,", 13, "'per_byte' is no field; allowed: constant, per_bit"),
    ("{per_bit: 1, per_bit_squared: 0.5}", "{}", 13, "is empty"),
    ("per_bit: 1,", "per_bit: -1,", 13, "is -1, but must be from 1e-09"),
    ("per_bit: 1,", "per_bit: [1, 2],", 13, "must be a number, not a list"),
    ("[[0, 0], [8192, 2.5]]", "[]", 10, "of ascending sizes"),
    ("[[0, 0], [8192, 2.5]]", "3", 10, "of ascending sizes"),
    ("[[0, 0], [8192, 2.5]]", "[[9, 1], [8, 2]]", 10, "of ascending sizes"),
    ("[[0, 0], [8192, 2.5]]", "[[8, 1], [8, 2]]", 10, "of ascending sizes"),
    ("[[0, 0], [8192, 2.5]]", "[[0, 0], [8, 0]]", 10, "the last not free"),
    ("[8192, 2.5]", "[8192]", 10, "a point of pj_per_byte must be [bytes, price]"),
    ("[8192, 2.5]", "8192", 10, "a point of pj_per_byte must be [bytes, price]"),
    ("[8192, 2.5]", "[8192, -2.5]", 10, "must be from 1e-09"),
    ("[8192, 2.5]", "[8192, 1e999]", 10, "must be from 1e-09"),
    ("[8192, 2.5]", "[8192, 1e99999999999999]", 10, "must be from 1e-09"),
    ("[0, 0]", "[-1, 0]", 10, "a size is -1 bytes"),
    ("[8192, 2.5]", "[1e99999999999999, 2.5]", 10, "bytes, but must be from 0 to"),
    ("parameters: joined", "parameters: apart", 11, "must be joined or separate"),
    ("parameters: joined", "parameters: [joined]", 11, "must be joined or separate"),
    ("parameters: joined", "access: 3", 10, "either pj_per_byte or access"),
    ("parameters: joined", "access_per_bit_stored: 3", 10, "goes with access, not with"),
    ("    pj_per_byte: [[0, 0], [8192, 2.5]]\n", "", 10, "either pj_per_byte or access"),
    ("    pj_per_byte: [[0, 0], [8192, 2.5]]\n    parameters: joined\n", "    size: 3\n", 10,
     "'size' is no field; allowed: pj_per_byte"),
    ("  memory:\n    pj_per_byte: [[0, 0], [8192, 2.5]]\n    parameters: joined\n", "", 11,
     "is by_size, but there is no memory"),
    ("weight_read: by_size", "state_access_per_event: no", 14, "must be a number, not 'no'"),
    ("weight_read: by_size", "spike_routed: 1", 14, "nothing that scope system can price"),
    ("  unit: nJ\n", "  unit: nJ\n  numbers: int4\n", 9, "'int4' is no numbers; allowed: any, "),
    ("  unit: nJ\n", "  unit: nJ\n  static_uw: 0\n", 9, "static_uw is 0, but must be from"),
    ("  unit: nJ\n", "  unit: nJ\n  static_uw: by_size\n", 9, "there is no memory"),
    ("  unit: nJ\n", "  unit: nJ\n  static_uw: {per_bit: 1}\n", 9, "a number of microwatts"),
    ("  unit: nJ\n", "  unit: nJ\n  static_uw: [2, 1]\n", 9, "ascending"),
    ("scope: system", "scope: per_event", 13, "'mac' is nothing that scope per_event"),
]  # fmt: skip


class TestFiles:
    def written(self, tmp_path: Path, old: str = "", new: str = "") -> Path:
        assert old in CORE
        path = tmp_path / "prices.yaml"
        path.write_text(CORE.replace(old, new, 1) if old else CORE, encoding="utf-8")
        return path

    def test_the_unit_holds_for_every_form(self, tmp_path: Path) -> None:
        found = load_profiles(self.written(tmp_path))["core"]
        assert found.prices == {
            "mac": PriceByWidth(0.0, 1000.0, 500.0),
            "weight_read": PriceBySize(Memory(((0.0, 0.0), (8192.0, 2500.0)), joined=True)),
        }
        words = "pj_per_byte: [[0, 0], [8192, 2.5]]"
        other = self.written(tmp_path, words, "access: 13.2\n    access_per_bit_stored: 0.0001")
        memory = load_profiles(other)["core"].prices["weight_read"]
        assert memory == PriceBySize(Memory(None, 13_200.0, 0.1, joined=True))

    @pytest.mark.parametrize(("old", "new", "line", "reason"), FAULTS)
    def test_refused_with_line_and_reason(
        self, tmp_path: Path, old: str, new: str, line: int, reason: str
    ) -> None:
        path = self.written(tmp_path, old, new)
        with pytest.raises(ParameterError) as error:
            load_profiles(path)
        message = str(error.value)
        assert message.startswith(f"{path}, line {line}: ")
        assert reason in message

    @pytest.mark.parametrize("price", ["{per_bit: 1}", "by_size"])
    def test_other_scopes_have_numbers_alone(self, tmp_path: Path, price: str) -> None:
        text = CORE.replace("scope: system", "scope: arithmetic").replace(
            "    mac: {per_bit: 1, per_bit_squared: 0.5}\n    weight_read: by_size",
            f"    mac: {price}",
        )
        path = tmp_path / "prices.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ParameterError, match="line 13: .*depends on a width or a size, which"):
            load_profiles(path)


class TestStaticPower:
    def test_microwatts_times_microseconds_are_picojoules(self) -> None:
        drawn = dataclasses.replace(profile({"mac": 1.0}), static_uw=(2.0, 5.0))
        assert static_energy(drawn, 50, 10.0) == (1000.0, 2500.0)
        assert static_energy(drawn, 50, None) is None
        assert static_energy(profile({"mac": 1.0}), 50, 10.0) is None

    def test_is_said_and_in_no_total(self, tmp_path: Path) -> None:
        given = dataclasses.replace(inputs(), step_us=1000.0)
        bare = profile({"addition": 1.0})
        drawn = dataclasses.replace(bare, static_uw=(2.0, 5.0))
        results = [analysis(given, "p", extra) for extra in (bare, drawn)]
        assert results[0].chosen_inference.total == results[1].chosen_inference.total
        assert [static_sentences(result) for result in results] == [
            (),
            ("Static power of p, assumed and in no total: 6 nJ to 15 nJ per inference at 1000 µs a "
             "step.",),
        ]  # fmt: skip
        text = CORE.replace("unit: nJ", "unit: nJ\n  static_uw: 3").replace("by_size", "1")
        path = tmp_path / "prices.yaml"
        path.write_text(text, encoding="utf-8")
        # Microwatts, whatever the unit of the prices.
        assert load_profiles(path)["core"].static_uw == (3.0, 3.0)


class TestParts:
    def test_no_term_is_in_two_of_them(self) -> None:
        held = [term for of_part in PARTS.values() for term in of_part]
        assert len(set(held)) == len(held)
        assert set(held) <= set(DESCRIPTIONS)

    def test_they_add_up_to_the_total_of_what_compares(self) -> None:
        layers = tuple(EventList.from_dense([dense] * 2) for dense in (INPUT, HIDDEN, OUTPUT))
        code = Poisson(time_window=3, max_rate=80.0).operations(np.full((2, 3), 200, np.uint8))
        measured = Measurement.of(STATE, ARCHITECTURE, layers, pruned=True)
        contenders = [
            *spiking_contenders("n", measured, code, None),
            *baseline_contenders((baseline(10, [6, 5]), baseline(7, [3, 3], weight_bits=8)), 2),
        ]
        assert len(contenders) == 5
        for entry in load_profiles().values():
            if not entry.compares:
                continue
            for one in contenders:
                operations = one.operations
                energy = price(operations, entry)  # type: ignore[arg-type]
                totals = energy.per_sample_pj
                if totals is None:
                    totals = energy.per_sample_high_pj
                parts = energy_by_part(one, entry)
                assert list(parts) == list(PARTS)
                assert sum(parts.values()) == pytest.approx(totals.mean(), rel=1e-12)
                assert sum(parts.values()) > 0


def test_a_count_has_a_column_for_each_part_of_the_ledger() -> None:
    layers = tuple(EventList.from_dense([dense]) for dense in (INPUT, HIDDEN, OUTPUT))
    counts = count_operations(Measurement.of(STATE, ARCHITECTURE, layers))
    held = {term for of_part in PARTS.values() for term in of_part}
    outside = {column.term for column in counts.columns} - held
    # A chip's own units of work: their price is of several parts at once.
    assert outside == {"neuron_update_active", "neuron_update_inactive", "spike_routed"}
