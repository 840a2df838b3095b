"""Layers and chains of them: words, shapes, names, and refusals."""

import pytest

from spikejoule.core.errors import ParameterError
from spikejoule.network.layers import layer_of, layers_of
from spikejoule.network.network import Network
from spikejoule.network.torch_twin import initial_state

WORDS = ("12c5s2", "2sum", "8c3p1g4", "400r", "30")


def test_words_are_read_and_written() -> None:
    layers = layers_of(WORDS)
    assert tuple(map(str, layers)) == WORDS
    network = Network.of_chain((1, 28, 28), layers, 10)
    assert (network.hidden_layers, network.words) == (layers, WORDS)
    assert network.sizes == "28x28-12c5s2-2sum-8c3p1g4-400r-30-10"
    assert network.layer_sizes == (784, 12 * 144, 8 * 36, 400, 30, 10)
    assert not network.is_plain
    assert Network.of_layers(4, (3,), 2).is_plain
    assert str(layer_of("12c5")) == str(layer_of("12c5s1p0g1")) == "12c5"


def test_initial_weights_follow_the_number_of_their_sources() -> None:
    """Uniform in +-1/sqrt(sources), as in `nn.Linear` and `nn.Conv2d`."""
    network = Network.of_chain((1, 28, 28), layers_of(WORDS), 10)
    state = initial_state(network, 3)
    parameters = {
        "layer1.synapses.weight": 25,
        "layer2.synapses.weight": 27,
        "layer3.synapses.weight": 288,
        "layer3.synapses.bias": 288,
        "layer3.recurrent.weight": 400,
    }
    for name, sources in parameters.items():
        scaled = state[name] * sources**0.5
        assert 0.9 < scaled.abs().max() <= 1
        assert float(scaled.std()) == pytest.approx(3**-0.5, rel=0.1)


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (["12c"], "'12c' is not a layer; allowed: a list of 1 to 8 words"),
        (["0"], "has 0 neurons"),
        (["3c0"], "'3c0' is impossible"),
        (["1sum", "3"], "pools nothing"),
        (["3c3g2"], "groups that divide the channels"),
        (["2sum"], "have no neurons"),
        (["3c3", "2sum", "2avg"], "pool twice in a row"),
        (["3"] * 9, "there are 9 layers"),
    ],
)
def test_what_is_no_layer_is_refused(words: list[str], needle: str) -> None:
    with pytest.raises(ParameterError, match=needle) as error:
        layers_of(words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("shape", "words", "needle"),
    [
        ((784,), ["3c3"], "3c3 takes .channels, height, width., but its input has"),
        ((1, 4, 4), ["3c5"], "does not fit the plane of 4 x 4"),
        ((2, 8, 8), ["4c3g4"], "has 4 groups; allowed are divisors of its channels"),
        ((1, 100, 100), ["90c3"], "layer 90c3 has 864360 neurons"),
    ],
)
def test_layers_that_do_not_fit_are_refused(
    shape: tuple[int, ...], words: list[str], needle: str
) -> None:
    with pytest.raises(ParameterError, match=needle) as error:
        Network.of_chain(shape, layers_of(words), 10)
    assert "\n" not in str(error.value)
