"""Forward pass, backward pass and Adam of fully connected ReLU networks.

arrays    the arrays of the kernels
sparse    sums of weighted rows of a matrix, by lists of the weights
forward   the forward pass, and the rounding of parameters to integers
learning  the backward pass and Adam

Every sum of products adds them one by one in a fixed order, each rounded once with its
sum (`multiply_add`), so that results have the same bytes on any processor. All other
arithmetic is single operations, which IEEE 754 rounds in one way; the plain loops here
must therefore add no product, which LLVM could fuse with the sum on some processors.

Three of the products of a step have a sparse factor: pixels and activations are mostly
zero. They are listed, and one kernel, `add_weighted_rows`, adds rows of a matrix:

    forward     sums of a sample: rows of the weights, one for each of its sources
    backward    deltas of a sample: rows of the transposed weights
    gradient    of a source's weights: rows of the deltas, one for each of its samples

A bias is the weight of one more source, which is 1 in every sample.

A network of integers is trained as such: both passes see rounded weights, activations
and saturated sums, and the gradient passes straight through to the parameters of the
optimizer (Bengio, Leonard and Courville 2013, arXiv:1308.3432).

Adam: Kingma and Ba, ICLR 2015, arXiv:1412.6980, as in ``torch.optim.Adam`` (weight
decay is added to the gradient).
"""
