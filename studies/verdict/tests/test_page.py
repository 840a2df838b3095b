"""Published tables, pages and data follow from the recorded networks."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from spikejoule.energy.estimates import BootstrapSettings
from studies.verdict import headline, page, published
from studies.verdict.__main__ import write_counts, write_verdicts
from studies.verdict.counts import count_ratios
from studies.verdict.networks import FOLDER, NetworkTable, recorded_table
from studies.verdict.project import judging, price_lists
from studies.verdict.timed import TIMED, timed_ratios
from studies.verdict.verdicts import Verdict, verdicts


def comparisons(settings: BootstrapSettings) -> list[Verdict]:
    """The comparisons of the recorded networks."""
    networks = NetworkTable.read(recorded_table("mnist")).rows
    lists = judging(price_lists().values())
    return verdicts(networks, lists, settings)


@pytest.fixture(scope="module")
def rows() -> list[Verdict]:
    return comparisons(page.SETTINGS)


def test_the_table_of_verdicts(rows: list[Verdict], tmp_path: Path) -> None:
    write_verdicts(tmp_path / "verdict.csv", rows)
    computed = pd.read_csv(tmp_path / "verdict.csv")
    published_rows = pd.read_csv(FOLDER / "verdict.csv")
    pd.testing.assert_frame_equal(computed, published_rows, rtol=1e-6)


def test_the_table_of_counts(tmp_path: Path) -> None:
    networks = NetworkTable.read(recorded_table("mnist")).rows
    write_counts(tmp_path / "counts.csv", count_ratios(networks, page.SETTINGS))
    computed = pd.read_csv(tmp_path / "counts.csv")
    published_rows = pd.read_csv(FOLDER / "counts.csv")
    pd.testing.assert_frame_equal(computed, published_rows, rtol=1e-6)


def test_the_headline_and_its_factors(tmp_path: Path) -> None:
    networks = NetworkTable.read(recorded_table("mnist")).rows
    profiles = price_lists()
    rows = headline.headline(networks, profiles[headline.PROFILE], page.SETTINGS)
    varied = headline.factors(networks, profiles, page.SETTINGS)
    headline.HeadlineTable(rows=tuple(rows)).write(tmp_path / "headline.csv")
    headline.FactorTable(rows=tuple(varied)).write(tmp_path / "factors.csv")
    for file in (headline.HEADLINE, headline.FACTORS):
        computed = pd.read_csv(tmp_path / file.name)
        pd.testing.assert_frame_equal(computed, pd.read_csv(file), rtol=1e-5)


def test_the_table_with_time(tmp_path: Path) -> None:
    networks = NetworkTable.read(recorded_table("mnist")).rows
    write_counts(tmp_path / "timed.csv", timed_ratios(networks, page.SETTINGS))
    computed = pd.read_csv(tmp_path / "timed.csv")
    published_rows = pd.read_csv(TIMED)
    pd.testing.assert_frame_equal(computed, published_rows, rtol=1e-6)


def test_other_draws_decide_alike(rows: list[Verdict]) -> None:
    again = comparisons(replace(page.SETTINGS, seed=page.SETTINGS.seed + 1))
    assert [row.outcome for row in again] == [row.outcome for row in rows]


@pytest.mark.parametrize("file", [page.SUMMARY, page.PAGE], ids=["summary", "page"])
def test_pages(file: Path) -> None:
    assert page.written(file) == file.read_text(encoding="utf-8"), "run: make record"


def test_the_table_of_published_networks(tmp_path: Path) -> None:
    published.published_table().write(tmp_path / "conventional.csv")
    assert (tmp_path / "conventional.csv").read_bytes() == published.TABLE.read_bytes()


def test_every_named_run_has_recorded_networks(rows: list[Verdict]) -> None:
    networks = pd.read_csv(recorded_table("mnist"))
    assert not networks.duplicated(["run_id", "configuration", "method"]).any()
    assert networks["n_images"].nunique() == 1
    for row in rows:
        for side in (row.spiking, row.conventional):
            runs = networks[networks["run_id"].isin(side.runs.split())]
            assert runs["run_id"].nunique() == side.n_seeds
            assert set(side.commits.split()) <= set(runs["git_commit"])


def test_recorded_events_are_those_of_the_runs() -> None:
    whole = {
        row.run_id: row.count("synaptic_event")
        for row in NetworkTable.read(recorded_table("mnist")).rows
        if row.side == "spiking" and row.method == "whole window" and row.is_counted
    }
    settings = pd.read_csv(FOLDER / "seeds.csv")
    is_run = ~settings["seeds"].astype(str).str.contains(" ")
    runs = settings[is_run & (settings["early_exit"] == 0)]
    counted = runs[runs["run_ids"].isin(whole)]
    assert len(counted) > 10
    for _, row in counted.iterrows():
        expected = row["synaptic_events_per_inference"]
        assert whole[row["run_ids"]] == pytest.approx(expected, rel=1e-6)


def test_the_page_stays_short() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    assert len(text.split()) <= 900
