"""Price files: what is shipped, what is allowed, and what is refused with its line and reason."""

from pathlib import Path

import pytest

from spikejoule.core.errors import ParameterError
from spikejoule.energy import Price, load_profiles, select_profile
from spikejoule.energy.operations import Column
from spikejoule.energy.profiles import EVIDENCE, SCOPES, TERMS_OF

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


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    return path


class TestShipped:
    # Values of the sources, in pJ, typed a second time.
    @pytest.mark.parametrize(
        ("profile", "term", "low", "value", "high"),
        [
            ("45nm-fp32", "mac", 4.6, 4.6, 4.6),
            ("45nm-fp32", "addition", 0.9, 0.9, 0.9),
            ("45nm-fp16", "mac", 1.5, 1.5, 1.5),
            ("45nm-fp16", "addition", 0.4, 0.4, 0.4),
            ("45nm-int32", "mac", 3.2, 3.2, 3.2),
            ("45nm-int32", "addition", 0.1, 0.1, 0.1),
            ("45nm-int8", "mac", 0.23, 0.23, 0.23),
            ("45nm-int8", "addition", 0.03, 0.03, 0.03),
            ("45nm-memory", "weight_read", 5.0, None, 2600.0),
            ("lemaire-2022-memory", "weight_read", 5.0, None, 123.0),
            ("loihi-1", "synaptic_event", 23.6, 23.6, 23.6),
            ("loihi-1", "neuron_update_active", 81.0, 81.0, 81.0),
            ("loihi-1", "neuron_update_inactive", 52.0, 52.0, 52.0),
            ("loihi-1", "spike_routed", 1.7, 1.7, 1.7),
            ("truenorth", "synaptic_event", 26.0, 26.0, 26.0),
            ("odin", "synaptic_event", 12.7, 12.7, 12.7),
            ("odin-incremental", "synaptic_event", 8.43, 8.43, 8.43),
            ("darwin3", "synaptic_event", 5.47, 5.47, 5.47),
            ("seneca", "synaptic_event", 2.8, 2.8, 2.8),
            ("spinnaker-1", "synaptic_event", 11_300.0, 13_300.0, 110_000.0),
            ("spinnaker-1", "neuron_update_active", 26_000.0, 26_000.0, 26_000.0),
            ("spinnaker-2", "synaptic_event", 10.0, 450.0, 450.0),
            ("spinnaker-2", "neuron_update_active", 1_500.0, 2_190.0, 2_190.0),
        ],
    )
    def test_prices_are_those_of_the_sources(
        self, profile: str, term: str, low: float, value: float | None, high: float
    ) -> None:
        assert load_profiles()[profile].prices[term] == Price(low, value, high)

    def test_every_profile_is_complete(self) -> None:
        for profile_id, profile in load_profiles().items():
            assert profile.id == profile_id
            assert any(words in profile.source for words in ("doi:", "arXiv:", "https://"))
            assert profile.scope in SCOPES
            assert profile.evidence in EVIDENCE
            assert set(profile.prices) <= set(TERMS_OF[profile.scope])

    def test_loihi_2_is_not_shipped(self) -> None:
        assert not any("loihi-2" in name or "loihi2" in name for name in load_profiles())

    def test_a_mac_is_a_multiplication_and_an_addition(self) -> None:
        chosen = [each for each in load_profiles().values() if each.scope == "arithmetic"]
        assert chosen
        for profile in chosen:
            mac, *parts = (
                profile.price_at(Column(term, "x"))
                for term in ("mac", "multiplication", "addition")
            )
            assert mac is not None
            assert mac.value_pj == pytest.approx(sum(part.value_pj or 0 for part in parts if part))


class TestAllowed:
    def test_forms_of_a_price_and_units(self, tmp_path: Path) -> None:
        text = GOOD.replace("unit: pJ", "unit: nJ").replace(
            "synaptic_event: 2",
            "synaptic_event: 0.45\n    neuron_update_active: [1, 2]\n"
            "    neuron_update_inactive: [1, 1.5, 2e0]",
        )
        profile = load_profiles(written(tmp_path, text))["chip"]
        assert profile.prices == {
            "synaptic_event": Price(450.0, 450.0, 450.0),
            "neuron_update_active": Price(1000.0, None, 2000.0),
            "neuron_update_inactive": Price(1000.0, 1500.0, 2000.0),
        }
        assert profile.notes == ""

    def test_numbers_are_decimal(self, tmp_path: Path) -> None:
        for text, number in (("010", 10.0), ("+1e1", 10.0), ("'2.50'", 2.5), ("1.e-05", 1e-5)):
            path = written(tmp_path, GOOD.replace("synaptic_event: 2", f"synaptic_event: {text}"))
            assert load_profiles(path)["chip"].prices["synaptic_event"] == Price(*[number] * 3)
        for text in ("0x10", "0o10", "1_000", "1:30", ".inf", "yes", "~", "!!int 0x10"):
            path = written(tmp_path, GOOD.replace("synaptic_event: 2", f"synaptic_event: {text}"))
            with pytest.raises(ParameterError, match="must be a number"):
                load_profiles(path)

    def test_arithmetic_prices_what_consists_of_it(self) -> None:
        profile = load_profiles()["45nm-fp32"]
        expected = {
            "synaptic_event": 0.9, "bias_addition": 0.9, "leak_multiplication": 3.7,
            "gradient_accumulation": 0.9, "backpropagation_mac": 4.6, "optimizer_addition": 0.9,
        }  # fmt: skip
        for term, value_pj in expected.items():
            price = profile.price_of(term)
            assert price == Price(value_pj, value_pj, value_pj)
        for term in ("neuron_update_active", "weight_read", "optimizer_root", "spike_routed"):
            assert profile.price_of(term) is None

    def test_a_chip_does_not_price_arithmetic(self) -> None:
        loihi = load_profiles()["loihi-1"]
        assert loihi.price_of("gradient_accumulation") is None
        assert loihi.covers("bias_addition")
        assert loihi.covers("leak_multiplication")
        assert loihi.covers("weight_read")
        assert loihi.covers("state_access")
        assert loihi.covers("spike_write")
        assert not loihi.covers("decision_comparison")
        seneca = load_profiles()["seneca"]
        assert seneca.covers("weight_read")
        assert seneca.covers("index_read")
        assert not seneca.covers("spike_write")
        assert not seneca.covers("state_access")
        assert not seneca.covers("bias_addition")
        assert not load_profiles()["45nm-fp32"].covers("weight_read")

    def test_all_in_covers_inference_and_nothing_of_learning(self) -> None:
        truenorth = load_profiles()["truenorth"]
        assert truenorth.covers("neuron_update_active")
        assert truenorth.covers("state_access")
        assert not truenorth.covers("gradient_accumulation")
        assert not truenorth.covers("synaptic_event")

    def test_an_unknown_id_is_refused_by_name(self) -> None:
        with pytest.raises(ParameterError, match=r"energy_report.profile: 'x' .*allowed: 45nm"):
            select_profile(load_profiles(), "x", "energy_report.profile")


# (what is replaced, by what, the line of the fault, words of the reason)
FAULTS = [
    ('  source: "A paper, doi:10.1000/1"\n', "", 1, "the source is missing"),
    ("A paper, doi:10.1000/1", "A paper", 5, "lacks a doi:"),
    ('"A paper, doi:10.1000/1"', "", 5, "the source must be text"),
    ("unit: pJ", "unit: fJ", 8, "'fJ' is no unit; allowed: pJ, nJ"),
    ("synaptic_event: 2", "synaptic_event: -2", 10, "is -2, but must be from 1e-09 to 1e+12 pJ"),
    ("synaptic_event: 2", "synaptic_event: 0", 10, "must be from 1e-09 to 1e"),
    ("synaptic_event: 2", "synaptic_event: .inf", 10, "must be a number, not '.inf'"),
    ("synaptic_event: 2", "synaptic_event: 1e308", 10, "must be from 1e-09 to 1e"),
    ("synaptic_event: 2", "synaptic_event: 1e-320", 10, "must be from 1e-09 to 1e"),
    ("synaptic_event: 2", "synaptic_event: 1e99999999999999", 10, "must be from 1e-09 to 1e"),
    ("synaptic_event: 2", "synaptic_event: 1e999", 10, "must be from 1e-09 to 1e"),
    ("synaptic_event: 2", "synaptic_event: two", 10, "must be a number, not 'two'"),
    ("synaptic_event: 2", "synaptic_event: {a: 1}", 10, "'a' is no field; allowed: constant"),
    ("synaptic_event: 2", "synaptic_event: [3, 2]", 10, "ascending"),
    ("synaptic_event: 2", "synaptic_event: [3]", 10, "[low, high]"),
    ("synaptic_event: 2", "synaptic_event: [1, -3]", 10, "must be from 1e-09 to 1e"),
    ("synaptic_event: 2", "synaptic_events: 2", 10, "'synaptic_events' is nothing that"),
    ("synaptic_event: 2", "mac: 2", 10, "'mac' is nothing that scope per_event can price"),
    ("synaptic_event: 2", "bias_addition: 2", 10, "nothing that scope per_event can price"),
    ("synaptic_event: 2", "neuron_update_active: 2", 10, "both or neither"),
    ("    synaptic_event: 2", "    synaptic_event: 2\n    synaptic_event: 3", 11, "given twice"),
    ("  prices:\n    synaptic_event: 2", "  prices: {}", 9, "is empty"),
    ("  prices:\n    synaptic_event: 2", "  prices: 3", 9, "must be a mapping"),
    ("scope: per_event", "scope: everything", 6, "'everything' is no scope; allowed: arithmetic"),
    ("scope: per_event", "scope: [per_event]", 6, "a list is no scope"),
    ("scope: per_event", "scope: arithmetic", 10, "nothing that scope arithmetic can price"),
    ("scope: per_event", "scope: contested", 10, "needs at least one bracket"),
    ("evidence: measured", "evidence: heard", 7, "'heard' is no evidence; allowed: measured"),
    ("year: 2020", "year: soon", 4, "the year must be"),
    ("title: A chip", "title:", 2, "the title must be text"),
    ("title: A chip", "name: A chip", 2, "'name' is no field"),
    ("chip:", "My Chip:", 1, "an id consists of"),
    ("chip:\n", "[1]:\n", 1, "has a list as a key"),
]  # fmt: skip


class TestRefused:
    @pytest.mark.parametrize(("old", "new", "line", "reason"), FAULTS)
    def test_with_file_line_and_reason(
        self, tmp_path: Path, old: str, new: str, line: int, reason: str
    ) -> None:
        assert old in GOOD
        path = written(tmp_path, GOOD.replace(old, new))
        with pytest.raises(ParameterError) as error:
            load_profiles(path)
        message = str(error.value)
        assert message.startswith(f"{path}, line {line}: ")
        assert reason in message
        assert "\n" not in message

    def test_all_in_prices_the_synaptic_event_alone(self, tmp_path: Path) -> None:
        text = GOOD.replace("per_event", "all_in") + "    spike_routed: 1\n"
        with pytest.raises(ParameterError, match="line 11: .*'spike_routed' is nothing that scope"):
            load_profiles(written(tmp_path, text))

    def test_an_id_given_twice(self, tmp_path: Path) -> None:
        with pytest.raises(ParameterError, match="line 11: 'chip' is given twice .*in line 1"):
            load_profiles(written(tmp_path, GOOD + GOOD))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "is empty"),
            ("- 1\n- 2\n", "line 1: a price file must be a mapping"),
            ("chip\n", "must be a mapping of profiles by their ids, not 'chip'"),
            ("chip: 3\n", "line 1: profile chip must be a mapping"),
            ("a: [1\nb: 2", "line 2: not valid YAML"),
            ("a: \x00", "is not valid YAML"),
            ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ],
    )
    def test_files_that_hold_no_profiles(self, tmp_path: Path, text: str, words: str) -> None:
        with pytest.raises(ParameterError, match=words):
            load_profiles(written(tmp_path, text))

    def test_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00\xd8")
        with pytest.raises(ParameterError, match="not valid YAML"):
            load_profiles(tmp_path / "x.yaml")

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ParameterError, match="cannot be read: No such file"):
            load_profiles(tmp_path / "none.yaml")
