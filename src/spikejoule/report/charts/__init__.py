"""What figures show, whoever draws them: data, scales, ticks and labels, without a drawing.

A chart that is there twice, as a PNG (`figures`) and on the page (`page`), has its one definition
here, in a module of its name.
"""
