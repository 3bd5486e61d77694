"""Calculation functions, each a thin coat around one pure function of :mod:`aiida_prospect.methods`."""
