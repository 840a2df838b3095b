"""What every package builds on.

errors       errors that a user can cause, as one sentence each
store        reading and writing files: atomic, deterministic, checked
schema       schemas of JSON, CSV and .npz files
npz          arrays in .npz files
torch_files  plain values and tensors in PyTorch files
yaml_files   YAML as DVC reads it; paths of artifacts
user_files   objects in Python files of users
parameters   sections of params.yaml, and choices between kinds of one thing
resume       resuming work after a kill
processes    whether another process still runs
provenance   code, libraries and digests of files
extras       the extras that bring further modules
terminal     text that fits the terminal
host_energy  what the computer draws, from the processor's counters
"""
