"""The report of a search, from its provenance."""
