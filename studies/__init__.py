"""Studies: questions answered with the library, each with its script, data and page."""
