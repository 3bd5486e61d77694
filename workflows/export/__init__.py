"""The result of a search as files for other programs, and for other people."""
