"""The stages of the pipeline, one script each: read files, call the library, write.

dvc.yaml runs them as `stages/shared/run NAME`, which picks the Python interpreter.
"""
