"""Training: every operation and memory access, by epoch.

step          a step in any dataflow: its sizes and memories, and the forward pass
backward      the backward pass
optimizer     Adam, and other optimizers
counting      the counts of a training, its data included
by_epoch      the joules up to each epoch
"""
