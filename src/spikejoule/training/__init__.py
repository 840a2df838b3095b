"""Training: the loop, its settings, learning-rate schedules and augmentation.

settings       how networks are trained
params         the section `train` of params.yaml
training       the loop over epochs: learn, validate, keep the best weights
batches        one pass over the training samples
observers      what follows a training: a progress bar, a meter
epochs         the files that describe a training
schedules      learning-rate schedules
learning_rate  the learning rate of each step
relu           fully connected ReLU networks
free_cores     the number of kernel threads beside other processes
kernels        the compiled augmentation of images
"""
