"""Price lists: the packaged ones, the forms of a price, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import ParameterError
from spikejoule.energy.estimates import BootstrapSettings, Energy
from spikejoule.energy.ledger import Ledger
from spikejoule.energy.operations import Column
from spikejoule.energy.price_forms import MemoryPrice, PriceByWidth
from spikejoule.energy.prices import load_profiles, price, select_profile
from spikejoule.energy.terms import PARTS
from tests.compare.test_verdict import counted_networks
from tests.energy.by_hand import profile

GOOD = """\
chip:
  title: A chip
  process: 28 nm
  year: 2020
  source: "A paper, doi:10.1000/1"
  scope: per_event
  evidence: measured
  unit: pJ
  prices:
    synaptic_event: 2
"""


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


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_prices_cover_what_they_contain() -> None:
    """A chip's synaptic event contains the weight read; an addition does not."""
    for name, status in {"loihi-1": "covered", "45nm-fp32": "unpriced"}.items():
        assert load_profiles()[name].status_of("weight_read") == status


class TestForms:
    def test_of_a_file_and_their_units(self, tmp_path: Path) -> None:
        text = GOOD.replace("unit: pJ", "unit: nJ").replace(
            "synaptic_event: 2",
            "synaptic_event: 0.45\n    neuron_update_active: [1, 2]\n"
            "    neuron_update_inactive: [1, 1.5, 2e0]",
        )
        assert load_profiles(written(tmp_path, text))["chip"].prices == {
            "synaptic_event": Energy(450.0, 450.0, 450.0),
            "neuron_update_active": Energy(1000.0, None, 2000.0),
            "neuron_update_inactive": Energy(1000.0, 1500.0, 2000.0),
        }
        found = load_profiles(written(tmp_path, CORE))["core"]
        by_size = {"weight_read": "by_size"}
        assert (
            found.prices
            == {"mac": PriceByWidth(per_bit=1000, per_bit_squared=500)} | by_size
        )
        points = ((0.0, 0.0), (8192.0, 2500.0))
        assert found.memory == MemoryPrice(pj_per_byte=points, parameters="joined")
        words = "pj_per_byte: [[0, 0], [8192, 2.5]]"
        other = CORE.replace(words, "access: 13.2\n    access_per_bit_stored: 0.0001")
        memory = load_profiles(written(tmp_path, other))["core"].memory
        assert memory == MemoryPrice(
            access=13_200, access_per_bit_stored=0.1, parameters="joined"
        )


class TestByWidth:
    """Horowitz 2014: 0.2 and 3.1 pJ for products, 0.03 and 0.1 pJ for additions."""

    def price_of(
        self, term: str, product_bits: int, sum_bits: int
    ) -> tuple[float, ...]:
        column = Column(term, "x", product_bits=product_bits, sum_bits=sum_bits)
        return load_profiles()["45nm-by-width"].price_at(column)

    def test_the_range_meets_the_anchors(self) -> None:
        assert self.price_of("multiplication", 8 * 8, 8)[1:] == pytest.approx([0.2] * 2)
        assert self.price_of("multiplication", 32 * 32, 32)[0] == pytest.approx(3.1)
        assert self.price_of("addition", 8 * 8, 8)[2] == pytest.approx(0.03)
        assert self.price_of("addition", 32 * 32, 32)[:2] == pytest.approx([0.1] * 2)

    def test_a_product_of_4_by_4_bits_and_a_sum_of_16(self) -> None:
        low, value, high = self.price_of("mac", 4 * 4, 16)
        assert low == pytest.approx(3.1 * 16 / 1024 + 0.1 / 2)
        assert value == pytest.approx(0.2 / 4 + 0.1 / 2)
        assert high == pytest.approx(0.2 / 4 + 0.03 * 2)

    def test_a_product_of_one_bit_costs_no_more_than_an_addition(self) -> None:
        for bits in (1, 4, 8, 32):
            product = self.price_of("multiplication", bits, bits)
            added = self.price_of("addition", bits, bits)
            assert all(one <= other for one, other in zip(product, added, strict=True))

    def test_they_do_not_ignore_widths(self) -> None:
        by_width = PriceByWidth.model_validate({"per_product_bit": 1.0})
        assert not profile({"mac": by_width}).ignores_widths
        assert profile({"mac": 1.0}).ignores_widths

    def test_prices_by_width_judge_every_width(self) -> None:
        """Their `numbers` says what computes, and not which width is priced."""
        by_width = PriceByWidth.model_validate({"per_product_bit": 1.0})
        assert profile({"mac": by_width}, numbers="int8").eligibility.judges_width(4)
        assert not profile({"mac": 1.0}, numbers="int8").eligibility.judges_width(4)


def test_an_unknown_id_is_refused_by_name() -> None:
    with pytest.raises(
        ParameterError, match=r"energy_report.profile: 'x' .*allowed: 45nm"
    ):
        select_profile(load_profiles(), "x", "energy_report.profile")


# The file, what is replaced by what, and words of the reason.
FAULTS = [
    (GOOD, '  source: "A paper, doi:10.1000/1"\n', "", "source is missing"),
    (GOOD, "A paper, doi:10.1000/1", "A paper", "lacks a doi:"),
    (GOOD, "event: 2", "event: -2", "is -2, but must be greater"),
    (
        GOOD,
        "synaptic_event: 2",
        "bias_addition: 2",
        "scope per_event cannot price prices.bias_addition",
    ),
    (GOOD, "synaptic_event: 2", "neuron_update_active: 2", "both or neither"),
    (GOOD, "event: 2", "event: {per_bit: 2}", "depends on a width"),
    (GOOD, "scope: per_event", "scope: contested", "need a range"),
    (CORE, "{per_bit: 1,", "{per_byte: 1,", "prices.mac.per_byte is unknown"),
    (CORE, "{per_bit: 1,", "{per_sum_bit: [3, 2, 1],", "[low, value, high], ascending"),
    (
        CORE,
        "weight_read: by_size",
        "synaptic_event: {per_bit: 1}",
        "prices.synaptic_event is arithmetic: its price must be per_product_bit",
    ),
    (
        CORE,
        "weight_read: by_size",
        "weight_read: {per_sum_bit: 1}",
        "prices.weight_read is an access to a word: its price must be per_bit",
    ),
]


class TestRefused:
    @pytest.mark.parametrize(("text", "old", "new", "reason"), FAULTS)
    def test_with_file_and_reason(
        self, tmp_path: Path, text: str, old: str, new: str, reason: str
    ) -> None:
        assert old in text
        path = written(tmp_path, text.replace(old, new, 1))
        with pytest.raises(ParameterError) as error:
            load_profiles(path)
        message = str(error.value)
        assert message.startswith(f"{path}: price list ")
        assert reason in message
        assert "\n" not in message

    def test_files_without_price_lists(self, tmp_path: Path) -> None:
        for text in ("", "a: [1\nb: 2", "chip: 3\n"):
            with pytest.raises(ParameterError, match=r"^[^\n]*prices\.yaml[^\n]*$"):
                load_profiles(written(tmp_path, text))
        with pytest.raises(ParameterError, match="does not exist"):
            load_profiles(tmp_path / "none.yaml")


def test_parts_add_up_to_the_total_of_what_compares() -> None:
    variants = counted_networks()
    ledger = Ledger.of(variants, load_profiles().values(), BootstrapSettings(9))
    comparing = [
        prices
        for prices in load_profiles().values()
        if prices.eligibility.scope_compares
    ]
    for prices in comparing:
        for number, variant in enumerate(variants):
            _, value, high = price(variant.operations, prices).mean(axis=1)
            parts = ledger.by_part(number, prices.id)
            assert tuple(parts) == PARTS
            total = high if np.isnan(value) else value
            assert sum(parts.values()) == pytest.approx(total, rel=1e-12)
            assert sum(parts.values()) > 0


@pytest.mark.parametrize(
    ("stored_bytes", "pj"), [(0, 0), (512, 0.3125), (8192, 5), (2**20, 50), (2**21, 50)]
)
def test_memory_is_extrapolated_below_8_kb_and_constant_above_1_mb(
    stored_bytes: int, pj: float
) -> None:
    column = Column("state_access", "x", 16, 8 * stored_bytes)
    assert load_profiles()["lemaire-complete"].price_at(column) == pytest.approx(
        (pj, pj, pj)
    )
