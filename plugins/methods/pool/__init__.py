"""Random crystals."""
