"""The conventional networks to compare with: ReLU units, and their integers.

relu            training in PyTorch, activations, multiply-accumulates
quantised       the same network in integers
measured        both on the test images: predictions, accuracies, multiplications
counts          what a comparison needs to know of either
baseline_files  the files of both
"""
