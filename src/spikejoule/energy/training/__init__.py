"""Training: every operation and memory access, by epoch.

record        what is recorded of a training, of either side
history       the record of epochs, and their energy while training runs
arrays        the arrays of a training, and their memories
step          a step in any dataflow: its sizes, and the forward pass
backward      the backward pass
optimizer     Adam
counting      the counts of a training, its data included
kinds         their energy by phase and kind of access
"""
