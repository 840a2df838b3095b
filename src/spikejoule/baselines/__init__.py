"""The conventional networks to compare with: ReLU units, pruned, and in integers.

settings   which networks there are, and how they are trained
training   networks that learn side by side, and the state from which that resumes
quantised  a network in integers
counts     what each answers and multiplies on the test images, and the files of all
"""
