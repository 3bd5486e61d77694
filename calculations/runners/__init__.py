"""Programs that run on the compute side, where AiiDA is not installed."""
