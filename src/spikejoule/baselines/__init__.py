"""The conventional networks to compare with: ReLU units, pruned, and in integers.

settings      which networks there are, and how they are trained
training      the loop that trains all networks side by side
learner       one network that learns, in floats or in integers
quantised     a network in integers
measuring     running a network on images
counts        its answers and multiplications on the test images, and their file
"""
