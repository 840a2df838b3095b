"""What every package builds on: files, schemas, parameters, errors, resuming."""
