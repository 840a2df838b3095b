"""Which side needs less energy at equal accuracy: spiking or conventional networks?

The answer is in `README.md`; `python -m studies.verdict --help` says how to run it.

    __main__     the jobs, from top to bottom
    networks     recorded networks, rows of `networks-mnist.csv`
    project      a project's prices, parameters, paths and runs
    counted      the networks of a run, counted again
    recording    recorded networks from the runs of an MLflow store
    outside      networks from files
    entrants     networks counted on the same images, in every way of running them
    cascades     a small network answers unless its lead is small
    protocol     the search of both sides in writing, protocol.yaml
    searching    train, count and record the networks of the protocol
    statistics   fronts chosen on some networks and read on others, over all draws
    verdicts     the outcome of all draws, by price list and accuracy
    counts       operation counts of both sides; comparisons without price lists
    headline     the study in a few numbers
    timed        the same with static power and time, on a measured chip's constants
    breakeven    the prices at which both sides need the same energy
    map          a picture of them
    published    the conventional networks with which every run is compared
    trainings    train both sides to a level
    training     what that costs, and which side needs less energy for it
    sentences    the outcomes in words
    page         the generated parts of pages
"""
