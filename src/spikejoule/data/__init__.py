"""The images: what they are, where they come from, how they are split.

images   images with labels, their files, the validation split, their description
sources  MNIST by download, from a directory, and the 5,000 digits that come along
"""
