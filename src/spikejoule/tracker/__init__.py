"""The energy of a training in the user's own loop: hooks count, the ledger prices.

track          `track`: a model and its optimizers in, a `Tracker` out
tracker        `Tracker`: counts while the loop runs, and reports afterwards
passes         the forward passes of a model: samples, spikes, events
engine_passes  those of an accelerated model
steps          the optimizers: their steps, and the gradients that they read
learning       which parameters learn, and how they are updated
records        the counts as the record of a training
energies       the joules of a record, by way of running, epoch, phase and place
drawn          what the machine draws meanwhile, from its energy counters
page           the page of a training
"""
