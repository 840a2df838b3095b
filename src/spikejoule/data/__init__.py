"""The samples: what they are, where they come from, how they are split.

subject     what samples show: the word for it, and the classes
images      images with labels, their files, the validation split, their description
events      samples that are events from birth
event_file  their format, written and read in blocks
idx         the format of MNIST's files
source      what a source is, and what sources have in common
sources     the sources: by download, from a directory or a file, and 5,000 digits that
            come along
"""
