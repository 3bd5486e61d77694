"""Questions to the provenance of a search: why, from where, what came of it, at what cost."""
