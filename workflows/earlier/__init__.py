"""Labels from calculations that were made before and for other purposes, one module for each code."""
