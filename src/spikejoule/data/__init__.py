"""Samples: what they are, where they come from, how they are split.

subject   what samples show: the noun for it, and the classes
images    images with labels, and their files
events    samples recorded as events, and their files
dataset   training and test samples, the validation split, their description
idx       the file format of MNIST
source    the interface of a source, and what downloads have in common
sources   the sources: downloads, a directory or file, and 5,000 packaged digits
params    the section `data` of params.yaml
"""
