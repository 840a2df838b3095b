"""Training: the loop, its settings, learning-rate schedules and augmentation.

settings    how networks are trained
params      the section `train` of params.yaml
training    the loop over epochs: learn, validate, keep the best weights
epochs      the learning rate of each step; the files of training results
schedules   learning-rate schedules
relu        the arrays of a fully connected ReLU network, and its activations
free_cores  the number of kernel threads beside other processes
kernels     the compiled augmentation of images; training of ReLU networks
"""
