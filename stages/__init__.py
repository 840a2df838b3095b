"""The stages of the pipeline: each reads paths and parameters, calls the library,
writes outputs.

dvc.yaml calls them through `stages/shared/run NAME`, which picks the interpreter.
"""
