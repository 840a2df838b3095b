"""What every package stands on: files, records, errors, text, provenance, compiled functions."""
