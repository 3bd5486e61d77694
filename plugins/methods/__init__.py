"""The algorithms, as pure functions on arrays: no AiiDA, and an explicit random generator wherever chance enters."""
