"""Labelling: energies, forces and stress of given structures from a reference method."""
