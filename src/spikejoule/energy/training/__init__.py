"""Training: every operation and memory access, by epoch.

history       the record of epochs, and their energy while training runs
step          a step in any dataflow: its sizes and memories, and the forward pass
backward      the backward pass
optimizer     Adam
counting      the counts of a training, its data included
kinds         their energy by phase and kind of access
"""
