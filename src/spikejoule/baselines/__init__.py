"""The conventional networks to compare with: ReLU units, pruned, and in integers.

settings      which networks there are, and how they are trained
training      the loop that trains all networks side by side
side_by_side  several networks as one computation
quantised     a network in integers
counts        answers and multiplications on the test images, and their file
"""
