"""Which side needs less energy at equal accuracy: spiking or conventional networks?

Read the page `README.md` for the answer, and `python -m studies.verdict --help` to run
it.

    __main__     the jobs, from top to bottom
    networks     recorded networks, rows of `networks-mnist.csv`
    project      what is read of a project: prices, parameters, runs
    recording    recorded networks from the runs of an MLflow store
    outside      networks of others, added to the recorded ones
    statistics   draws over seeds, images and accuracies, and the fronts in each
    verdicts     the outcome of all draws, by price list and accuracy
    counts       operations behind the energies, and verdicts without price lists
    published    the conventional networks that every run is compared with
    sentences    the verdicts in words
    page         the parts of pages that state the verdicts
"""
