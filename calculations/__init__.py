"""Calculation jobs and calculation functions."""
