"""The samples: what they are, where they come from, how they are split.

images      images with labels, their files, the validation split, their description
events      samples that are events from birth
event_file  their format, written and read in blocks
subject     what samples show: the word for it, and the classes
sources     by download, from a directory or a file, and the 5,000 digits that come along
"""
