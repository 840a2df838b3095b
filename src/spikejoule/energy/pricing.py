"""Putting prices on counts: picojoules with their bracket, and what they do not contain."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy.estimates import Floats
from spikejoule.energy.operations import Column, MeanOperations, OperationCounts
from spikejoule.energy.profiles import SCOPES, HardwareProfile
from spikejoule.energy.terms import OF_CONVENTIONAL, PARTS_OF_UPDATE, UPDATES, UPPER_BOUND_ONLY


@dataclass(frozen=True, eq=False)
class PriceVector:
    """The prices of C columns, float64 [C]; 0 where a column has none.

    Attributes:
        priced: whether a column has a price, bool [C].
        low_pj: the lower ends.
        value_pj: the values; None if one of the columns has a bracket alone.
        high_pj: the upper ends.
    """

    priced: NDArray[np.bool_]
    low_pj: Floats
    value_pj: Floats | None
    high_pj: Floats


@dataclass(frozen=True)
class Coverage:
    """What a total under a profile contains.

    Attributes:
        priced: terms with a price, in the order of the columns: they make up the total.
        unpriced: terms without a price: they are not in the total.
        covered: terms without a price of their own whose cost lies within the price of another.
        words: all of it in sentences.
    """

    priced: tuple[str, ...]
    unpriced: tuple[str, ...]
    covered: tuple[str, ...]
    words: str


@dataclass(frozen=True, eq=False)
class PricedEnergy:
    """The energy of N samples under one profile.

    Attributes:
        profile: the prices.
        columns: the C' columns that have a price.
        low_pj: lower end of each sample and column, float64 [N, C'].
        value_pj: the value, float64 [N, C']; None if there are brackets alone.
        high_pj: upper end, float64 [N, C'].
        unpriced: terms that the profile has no price for: they are not in the total.
        covered: terms whose cost lies within the price of another.
        contains: in words, what the total holds.
    """

    profile: HardwareProfile
    columns: tuple[Column, ...]
    low_pj: Floats
    value_pj: Floats | None
    high_pj: Floats
    unpriced: tuple[str, ...]
    covered: tuple[str, ...]
    contains: str

    @property
    def per_sample_low_pj(self) -> Floats:
        """Lower end of each sample, float64 [N]."""
        totals: Floats = self.low_pj.sum(axis=1)
        return totals

    @property
    def per_sample_pj(self) -> Floats | None:
        """Energy of each sample, float64 [N]; None if there are brackets alone."""
        return None if self.value_pj is None else self.value_pj.sum(axis=1)

    @property
    def per_sample_high_pj(self) -> Floats:
        """Upper end of each sample, float64 [N]."""
        totals: Floats = self.high_pj.sum(axis=1)
        return totals


def price_vector(columns: Sequence[Column], profile: HardwareProfile) -> PriceVector:
    """The prices of some columns under a profile.

    A term that only an upper bound holds (`terms.UPPER_BOUND_ONLY`) costs nothing at the lower end
    and leaves the total without a value.
    """
    low, value, high = (np.zeros(len(columns)) for _ in range(3))
    priced = np.zeros(len(columns), dtype=np.bool_)
    brackets_alone = False
    for place, column in enumerate(columns):
        price = profile.price_at(column)
        if price is None:
            continue
        upper_only = column.term in UPPER_BOUND_ONLY and column.term not in profile.prices
        priced[place] = True
        low[place] = 0.0 if upper_only else price.low_pj
        high[place] = price.high_pj
        if price.value_pj is None or upper_only:
            brackets_alone = True
        else:
            value[place] = price.value_pj
    return PriceVector(priced, low, None if brackets_alone else value, high)


def price(counts: OperationCounts, profile: HardwareProfile) -> PricedEnergy:
    """Price every count that the profile has a price for: integers in, picojoules out."""
    prices = price_vector(counts.columns, profile)
    held = coverage(counts.columns, profile)
    chosen = counts.counts[:, prices.priced]
    value = prices.value_pj
    return PricedEnergy(
        profile=profile,
        columns=tuple(column for column in counts.columns if column.term in held.priced),
        low_pj=chosen * prices.low_pj[prices.priced],
        value_pj=None if value is None else chosen * value[prices.priced],
        high_pj=chosen * prices.high_pj[prices.priced],
        unpriced=held.unpriced,
        covered=held.covered,
        contains=held.words,
    )


@dataclass(frozen=True, eq=False)
class SampleEnergies:
    """The energy of each of N samples, or of one mean, float64 [N] each.

    Attributes:
        low_pj, high_pj: under the lower and the upper ends of the prices.
        value_pj: under their values; None if there are brackets alone.
    """

    low_pj: Floats
    value_pj: Floats | None
    high_pj: Floats

    def of_first(self, n_samples: int) -> "SampleEnergies":
        """Those of the first samples."""
        value = None if self.value_pj is None else self.value_pj[:n_samples]
        return SampleEnergies(self.low_pj[:n_samples], value, self.high_pj[:n_samples])

    @property
    def middle_pj(self) -> float:
        """The mean under the values; of brackets alone, half-way between their ends."""
        if self.value_pj is not None:
            return float(self.value_pj.mean())
        return float((self.low_pj.mean() + self.high_pj.mean()) / 2)


def sample_energies(
    operations: OperationCounts | MeanOperations, profile: HardwareProfile
) -> SampleEnergies:
    """What each sample takes under a profile; of means alone, one."""
    counts = operations.means[None] if isinstance(operations, MeanOperations) else operations.counts
    prices = price_vector(operations.columns, profile)
    return SampleEnergies(
        counts @ prices.low_pj,
        None if prices.value_pj is None else counts @ prices.value_pj,
        counts @ prices.high_pj,
    )


def coverage(columns: Iterable[Column], profile: HardwareProfile) -> Coverage:
    """What a total over a spiking network's columns holds under a profile, and what it does not."""
    counted = tuple(dict.fromkeys(column.term for column in columns))
    priced = tuple(term for term in counted if profile.price_of(term) is not None)
    covered = tuple(term for term in counted if profile.covers(term))
    unpriced = tuple(term for term in counted if term not in (*priced, *covered))
    uncounted = tuple(
        term
        for term in profile.prices
        if term not in (*counted, *OF_CONVENTIONAL) and profile.scope != "arithmetic"
    )
    # An update whose leak and bias have prices of arithmetic: what is missing is its other part.
    rest = " (the rest of it)" if set(PARTS_OF_UPDATE) <= set(priced) else ""
    missing = [f"{term}{rest if term in UPDATES else ''}" for term in unpriced]
    sentences = [f"Holds {_words(priced) or 'nothing'}; scope: {SCOPES[profile.scope]}."]
    for introduction, named in (
        ("Within these prices, and not added again: ", covered),
        ("Without a price, and not included: ", missing),
        ("Priced by the source, but not counted: ", uncounted),
    ):
        if named:
            sentences.append(f"{introduction}{_words(named)}.")
    return Coverage(priced, unpriced, covered, " ".join(sentences))


def _words(names: Iterable[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)
