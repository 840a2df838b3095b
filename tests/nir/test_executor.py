"""NIR graphs: every spike and every count agrees with plain loops."""

import re
import tracemalloc
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any
from unittest import mock

import nir
import numba
import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d

from spikejoule.compare.from_counts import SampleSet
from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.encoding.events import EventList
from spikejoule.energy.count import count_operations
from spikejoule.nir import executor, running
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.graph_run import GraphRun
from spikejoule.nir.reading import network_of, read_nir
from spikejoule.nir.running import run_graph
from spikejoule.nir.writing import graph_without_nodes
from spikejoule.pricing.graph import price_graph
from tests.nir.foreign import DT, GRAPHS, ORDERS, WAITING, Maker, graph_of
from tests.nir.naive_graph import NaiveGraph
from tests.tools.counted import by_kind, count_of
from tests.tools.refusals import refusal

STEPS = 8
GIVEN = Conventions(
    dt=DT,
    reset="zero",
    comparison="ge",
    current="same_step",
    initial="zero",
    pruned=False,
)
CHOICES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "above the threshold": {"comparison": "gt"},
    "by subtraction": {"reset": "subtract"},
    "current later": {"current": "next_step"},
    "from the leak": {"initial": "leak"},
    "from the reset": {"initial": "reset"},
    "zero is no synapse": {"pruned": True},
}


def spikes_for(
    graph: nir.NIRGraph, samples: int = 2, density: float = 0.3
) -> EventList:
    shape = network_of(graph).input.out_shape
    generator = np.random.default_rng(5)
    return EventList.from_dense(
        generator.random((samples, STEPS, int(np.prod(shape)))) < density
    )


def flat_nodes(graph: nir.NIRGraph, prefix: str = "") -> dict[str, nir.NIRNode]:
    """All nodes by their full names; the ends of nested graphs only pass on."""
    nodes: dict[str, nir.NIRNode] = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            nodes |= flat_nodes(node, f"{prefix}{name}.")
        elif prefix and isinstance(node, nir.Input | nir.Output):
            shape = {"input": node.input_type["input"]}
            nodes[f"{prefix}{name}"] = nir.Flatten(shape, 0, -1)
        else:
            nodes[f"{prefix}{name}"] = node
    return nodes


def naive_of(name: str, graph: nir.NIRGraph, given: Conventions) -> NaiveGraph:
    """The plain loops of a graph; PyTorch confirms the shapes in another test."""
    network = network_of(graph)
    shapes = {key: node.out_shape for key, node in network.nodes.items()}
    order = ORDERS.get(name, list(network.nodes))
    waiting = WAITING.get(name, ())
    nodes = flat_nodes(graph)
    return NaiveGraph(
        nodes, shapes, network.edges, order, waiting=waiting, **asdict(given)
    )


def compare(name: str, graph: nir.NIRGraph, given: Conventions, run: GraphRun) -> None:
    naive = naive_of(name, graph, given)
    for sample, inputs in enumerate(spikes_for(graph).to_dense(np.int64).tolist()):
        gave, counts = naive.run(inputs)
        assert np.array_equal(run.output[sample], np.sum(gave["output"], axis=0))
        for kind, by_node in counts.items():
            for node in naive.order:
                count = int(count_of(run, kind, node)[sample])
                assert count == by_node[node], (kind, node)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", GRAPHS)
def test_plain_loops_give_the_same(name: str, choice: str) -> None:
    if (name, choice) == ("leak and reset", "by subtraction"):
        pytest.skip("refused, see TestConventions")
    given = replace(GIVEN, **CHOICES[choice])
    graph = GRAPHS[name](Maker())
    run = run_graph(graph, spikes_for(graph), given, np.float64)
    assert sum(counts.sum() for counts in by_kind(run)["spikes"].values()) > 15
    compare(name, graph, given, run)
    if name == "plain chain":  # sums are exact in float32
        run = run_graph(graph, spikes_for(graph), given)
        assert run.engine == "event"
        compare(name, graph, given, run)


def run_in_executor(*arguments: Any, **options: Any) -> GraphRun:
    """Do what `run_graph` does, also for a plain chain in the graph executor."""
    with mock.patch.object(running, "_chain_of", return_value=None):
        return run_graph(*arguments, **options)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_result_does_not_depend_on_the_batch(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three blocks of samples, the last not full; one block a batch; single samples."""
    graph = GRAPHS[name](Maker())
    events = spikes_for(graph, samples=35)
    together = run_in_executor(graph, events, GIVEN)
    assert together.output[32:].any()
    for sample in (0, 17, 34):
        rows = slice(sample, sample + 1)
        assert_equal(run_in_executor(graph, events.select(rows), GIVEN), together, rows)
    monkeypatch.setattr(executor, "_MOST_SAMPLES", 16)
    monkeypatch.setattr(executor, "_THREAD_NUMBERS", 1)
    assert_equal(run_in_executor(graph, events, GIVEN), together)


def assert_equal(run: GraphRun, other: GraphRun, rows: slice = slice(None)) -> None:
    """Output and counts equal those of some samples of another run, bit for bit."""
    assert run.output.tobytes() == other.output[rows].tobytes()
    expected = by_kind(other)
    for kind, by_node in by_kind(run).items():
        assert by_node.keys() == expected[kind].keys()
        for node, counts in by_node.items():
            assert np.array_equal(counts, expected[kind][node][rows]), (kind, node)


class TestMemory:
    def peak(self, graph: nir.NIRGraph, events: EventList) -> int:
        """The most bytes that a run on one thread takes."""
        threads = numba.get_num_threads()
        numba.set_num_threads(1)
        tracemalloc.start()
        try:
            run_graph(graph, events, GIVEN)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            numba.set_num_threads(threads)

    def test_a_batch_is_freed_when_it_is_done(self) -> None:
        """400 samples of 13,872 units in 40 batches; all arrays would take 80 MB."""
        pool = nir.SumPool2d(np.array([34, 34]), np.array([34, 34]), np.array([0, 0]))
        nodes = {
            "a": Maker().conv2d(8, 2, (3, 3), padding=1),
            "b": Maker().if_(8, 34, 34),
            "c": pool,
        }
        graph = graph_of(nodes, (2, 34, 34), (8, 1, 1))
        assert self.peak(graph, spikes_for(graph, samples=400, density=0.001)) < 40e6

    def test_a_delay_holds_no_more_steps_than_the_samples_have(self) -> None:
        """8 steps of a delay of ten million, for which a ring would take 10 GB."""
        nodes = {"a": nir.Delay(DT * np.full(64, 1e7)), "b": Maker().linear(64, 3)}
        graph = graph_of(nodes, (64,), (3,))
        events = spikes_for(graph)
        assert self.peak(graph, events) < 10e6
        assert not run_graph(graph, events, GIVEN).output.any()


@pytest.mark.parametrize("seed", range(6))
def test_windows_are_those_of_pytorch(seed: int) -> None:
    """Any stride, padding, dilation and number of groups; values in float64."""
    generator = np.random.default_rng(seed)

    def pair(low: int, high: int) -> tuple[int, int]:
        first, second = generator.integers(low, high, 2).tolist()
        return first, second

    groups, per_group = pair(1, 4)
    kernel = pair(1, 4)
    options: dict[str, Any] = {
        "stride": pair(1, 4),
        "dilation": pair(1, 4),
        "padding": pair(0, 3),
        "groups": groups,
    }
    size = pair(8, 12)
    channels = groups * per_group
    node = Maker(seed).conv2d(2 * groups, per_group, kernel, **options)
    pool = nir.AvgPool2d(np.array([2, 2]), np.array([2, 1]), np.array([1, 0]))
    graph = graph_of({"a": node, "b": pool}, (channels, *size), (1,))
    events = spikes_for(graph, samples=2)
    run = run_graph(graph, events, Conventions(), np.float64)

    dense = torch.from_numpy(events.to_dense(np.float64)).reshape(-1, channels, *size)
    weight = torch.from_numpy(node.weight)
    convolved = conv2d(dense, weight, torch.from_numpy(node.bias), **options)
    assert network_of(graph).nodes["a"].out_shape == tuple(convolved.shape[1:])
    pooled = avg_pool2d(convolved, (2, 2), (2, 1), (1, 0))
    expected = pooled.reshape(2, STEPS, -1).sum(dim=1)
    assert np.allclose(run.output, expected.numpy(), atol=1e-12)
    # Each output of each step counts the spikes under its window.
    reached = conv2d(dense, torch.ones_like(weight), None, **options).sum()
    assert int(count_of(run, "events", "a").sum()) == int(reached)


class TestAnswers:
    def test_a_tie_is_no_answer(self) -> None:
        graph = GRAPHS["fully connected"](Maker())
        run = run_graph(graph, spikes_for(graph, samples=20), GIVEN)
        counts = np.array([[0, 0, 0, 0], [2, 5, 5, 1], [0, 0, 3, 0], [4, 4, 4, 5]])
        assert replace(run, output=counts).predictions.tolist() == [-1, -1, 2, 3]

    def test_a_silent_network_is_never_right_and_is_named(self) -> None:
        graph = GRAPHS["fully connected"](Maker())
        graph.nodes["d"].v_threshold += 100
        with pytest.warns(UserWarning, match="no spike|No predicted class") as warned:
            analysis = price_graph(
                graph, spikes_for(graph), GIVEN, SampleSet(labels=np.zeros(2, np.int64))
            )
        assert analysis.inputs.variant.test_percent == 0
        assert [str(warning.message) for warning in warned] == [
            "no spike of d in any of the 2 samples.",
            "No predicted class, because of equal spike counts: 2 of 2.",
        ]


class TestReadouts:
    @pytest.mark.parametrize("readout", ["potential", "max_potential"])
    @pytest.mark.parametrize("kind", ["I", "LI", "CubaLI"])
    def test_potentials_are_those_of_loops(self, kind: str, readout: str) -> None:
        graph = read_out_graph(kind)
        events = spikes_for(graph, samples=20)
        given = replace(GIVEN, readout=readout)
        run = run_graph(graph, events, given, np.float64)
        assert run.predictions is not None
        for sample, inputs in enumerate(events.to_dense(np.int64).tolist()):
            gave, _ = naive_of("", graph, GIVEN).run(inputs)
            scores = gave["output"][-1]
            if readout == "max_potential":
                scores = np.max(gave["output"], axis=0).tolist()
            assert run.output[sample].tolist() == pytest.approx(scores)
            assert run.predictions[sample] == scores.index(max(scores))
        compared = count_operations(run).mean_of("decision_comparison")
        assert compared == (3 if readout == "potential" else 4 * STEPS - 1)

    def test_without_a_readout_there_is_no_answer(self) -> None:
        graph = read_out_graph("LI")
        run = run_graph(graph, spikes_for(graph), GIVEN)
        assert run.predictions is None
        assert count_operations(run).mean_of("decision_comparison") == 0

    def test_an_output_of_spikes_is_not_read(self) -> None:
        graph = GRAPHS["fully connected"](Maker())
        with pytest.raises(ParameterError, match="not the potentials of one node"):
            run_graph(graph, spikes_for(graph), replace(GIVEN, readout="potential"))


def read_out_graph(kind: str) -> nir.NIRGraph:
    """Six inputs and five LIF neurons, read by four neurons without spikes."""
    make = Maker()
    ones = np.ones(4)
    tau = 2 * DT * ones
    outputs = {
        "I": nir.I(ones / DT),
        "LI": nir.LI(tau, 2 * ones, 0 * ones),
        "CubaLI": nir.CubaLI(tau, 4 * DT * ones, ones, 0 * ones, w_in=ones),
    }
    nodes = {
        "input": nir.Input(np.array([6])),
        "a": nir.Linear(make.each((5, 6), -1, 2)),
        "b": nir.LIF(
            *(2 * DT * np.ones(5), 2 * np.ones(5), np.zeros(5), np.ones(5)),
            v_reset=np.zeros(5),
        ),
        "c": nir.Linear(make.each((4, 5), -2, 3)),
        "d": outputs[kind],
        "output": nir.Output(np.array([4])),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)))


class TestConventions:
    @pytest.mark.parametrize(
        ("name", "given", "words"),
        [
            (
                "recurrent",
                dict.fromkeys(("dt", "reset", "comparison", "current")),
                "dt .seconds.*; reset .zero or.*; comparison .ge or.*; current "
                ".same_step",
            ),
            ("leak and reset", {"initial": None}, "initial"),
            ("leak and reset", {"reset": "subtract"}, "resets to its v_reset"),
            (
                "fully connected",
                {"reset": "hard"},
                "reset is 'hard'; allowed are zero, subtract",
            ),
            ("fully connected", {"dt": 0.0}, "dt is 0.0"),
            ("fully connected", {"dt": 1.0}, "the tau of the node 'b'"),
            ("delays", {"dt": DT / 1.5}, "not a whole number of steps"),
        ],
    )
    def test_what_is_missing_or_does_not_fit(
        self, name: str, given: dict[str, Any], words: str
    ) -> None:
        graph = GRAPHS[name](Maker())
        with pytest.raises(ParameterError, match=words):
            run_graph(graph, spikes_for(graph), replace(GIVEN, **given))


class TestFiles:
    def test_a_file_holds_what_is_in_memory(self, tmp_path: Any) -> None:
        for name, make in GRAPHS.items():
            graph = make(Maker())
            network = network_of(graph)
            for key, node in graph.nodes.items():  # nir writes no None
                if getattr(node, "input_shape", ()) is None:
                    sizes = network.nodes[key].in_shape[1:]
                    node.input_shape = (
                        sizes if isinstance(node, nir.Conv2d) else sizes[-1]
                    )
            nir.write(tmp_path / "graph.nir", graph)
            read = read_nir(tmp_path / "graph.nir")
            assert read == network, name
            pairs = zip(read.connections, network.connections, strict=True)
            for ours, theirs in pairs:
                assert np.array_equal(ours.weight, theirs.weight), name

    def test_an_unknown_node_is_refused_by_name(self, tmp_path: Any) -> None:
        import h5py

        path = tmp_path / "graph.nir"
        nir.write(path, GRAPHS["nested"](Maker()))
        with h5py.File(path, "r+") as file:
            node = file["node/nodes/layer/nodes/lif"]
            del node["type"]
            node["type"] = "Izhikevich"
        with pytest.raises(
            ArtifactError, match="the node 'lif' is a Izhikevich; allowed are"
        ):
            read_nir(path)

    def test_what_is_damaged_is_one_sentence(self, tmp_path: Any) -> None:
        import h5py

        path = tmp_path / "graph.nir"
        for place, value, words in (
            ("node/metadata", 3, "metadata without names: 3"),
            ("node/nodes/a/weight", h5py.ExternalLink("b", "/c"), "from another file"),
            (
                "node/nodes/a/weight",
                np.ones((5, 6), np.complex64),
                "complex64 where numbers",
            ),
            (
                "node/nodes/input/shape",
                np.array([6.5]),
                "where whole numbers are needed",
            ),
            (
                "node/nodes/input/shape",
                np.array([10**11]),
                "has 100,000,000,000 units; allowed",
            ),
        ):
            nir.write(path, GRAPHS["fully connected"](Maker()))
            with h5py.File(path, "r+") as file:
                if place in file:
                    del file[place]
                file[place] = value
            assert re.search(words, refusal(read_nir, path))
        whole = path.read_bytes()
        for n_bytes in (0, len(whole) // 2):
            path.write_bytes(whole[:n_bytes])
            assert "damaged or not a NIR file" in refusal(read_nir, path)
        assert "does not exist" in refusal(read_nir, tmp_path / "none.nir")

    def test_arrays_that_do_not_fit_into_memory(self, tmp_path: Any) -> None:
        """Each just under 2 GiB in float32."""
        import h5py

        path = tmp_path / "graph.nir"
        nir.write(path, GRAPHS["fully connected"](Maker()))
        with h5py.File(path, "r+") as file:
            for number in range(3):
                name = f"node/nodes/a/w{number}"
                file.create_dataset(name, (2**27,), "f4", chunks=(1024,))
        assert "declares 3,221,22" in refusal(read_nir, path)

    def test_arrays_that_are_declared_but_hardly_stored(self, tmp_path: Any) -> None:
        """A compressed array of zeros, and one that is not stored at all."""
        import h5py

        for options in ({"compression": "gzip"}, {}):
            path = tmp_path / "graph.nir"
            nir.write(path, GRAPHS["fully connected"](Maker()))
            with h5py.File(path, "r+") as file:
                chunked = {"chunks": (2**16,), **options}
                added = file.create_dataset("node/nodes/a/w", (2**24,), "f4", **chunked)
                if options:
                    added[:] = 0
            assert path.stat().st_size < 2**18
            assert "are allowed" in refusal(read_nir, path)

    def test_many_links_to_one_array(self, tmp_path: Any) -> None:
        import h5py

        path = tmp_path / "graph.nir"
        nir.write(path, GRAPHS["fully connected"](Maker()))
        with h5py.File(path, "r+") as file:
            file["node/nodes/a/w0"] = np.ones(2**17, np.float32)
            for number in range(1, 200):
                file[f"node/nodes/a/w{number}"] = file["node/nodes/a/w0"]
        assert "are allowed" in refusal(read_nir, path)


class TestStructure:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"edges": [("a", "nowhere")]}, "an end 'nowhere' that is not a node"),
            ({"edges": [("a", "b")]}, "a -> b appears twice"),
            (
                {"nodes": {"alone": nir.Scale(np.ones(3))}},
                "the input does not reach alone",
            ),
            (
                {"nodes": {"c": nir.Linear(np.ones((4, 6)))}},
                "the node 'c' takes 6 values",
            ),
            ({"edges": [("b", "input")]}, "b -> input leads into the input"),
            ({"nodes": {"b": nir.LIF(*np.zeros((5, 5)))}}, "a tau that is not above 0"),
            (
                {"nodes": {"b": nir.LIF(np.full(5, np.inf), *np.ones((4, 5)))}},
                "a tau and a r of which one alone is infinite",
            ),
            (
                {"nodes": {"b": nir.IF(np.full(5, -np.inf), np.ones(5))}},
                "numbers that are not finite",
            ),
            (
                {
                    "nodes": {
                        "p": nir.Flatten(None, 0),
                        "q": nir.Flatten(None, 0),
                    },
                    "edges": [("a", "p"), ("p", "q"), ("q", "p"), ("p", "b")],
                },
                "in a cycle of nodes that only pass values on",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_does_not_fit_is_named(
        self, changes: dict[str, Any], words: str
    ) -> None:
        graph = GRAPHS["fully connected"](Maker())
        nodes = {**graph.nodes, **changes.get("nodes", {})}
        edges = [*graph.edges, *changes.get("edges", ())]
        with pytest.raises(ArtifactError, match=words):
            network_of(nir.NIRGraph(nodes, edges, type_check=False))

    @pytest.mark.parametrize(("rows", "options"), [(4, {}), (9, {"stride": 0})])
    def test_a_window_that_does_not_fit(
        self, rows: int, options: dict[str, int]
    ) -> None:
        graph = graph_of(
            {"a": Maker().conv2d(2, 2, (5, 5), **options)}, (2, rows, 9), (1,)
        )
        with pytest.raises(
            ArtifactError, match="the node 'a' has a window that does not fit"
        ):
            network_of(graph)

    def test_as_many_numbers_in_another_shape(self) -> None:
        """Rows for columns; a flat list of numbers counts in C order."""
        with pytest.raises(ArtifactError, match=r"its r has the shape \(3, 2\)"):
            network_of(graph_of({"a": Maker().if_(3, 2)}, (2, 3), (2, 3)))
        network_of(graph_of({"a": Maker().if_(6)}, (2, 3), (2, 3)))

    def test_a_graph_that_says_why_it_is_empty(self) -> None:
        with pytest.raises(
            ArtifactError, match="no nodes: the neuron has no node in NIR"
        ):
            network_of(graph_without_nodes("the neuron has no node in NIR"))
