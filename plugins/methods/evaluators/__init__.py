"""Energies, forces and stress of many structures from an ensemble of potentials."""
