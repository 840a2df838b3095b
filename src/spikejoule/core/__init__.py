"""What every room stands on: files, records, errors, text, provenance, compiled functions."""
