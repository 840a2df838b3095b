"""The conventional networks to compare with: ReLU units, pruned, and in integers.

members         which networks there are
stack           networks that learn side by side, as one computation
rounded_relu    their activations, with few levels
course          what became of each so far, and the state from which all go on
relu            training them all
quantised       a network in integers
measured        each on the test images: predictions, accuracies, multiplications
counts          what a comparison needs to know of it
weights         their weights as named arrays
baseline_files  the files of all
"""
