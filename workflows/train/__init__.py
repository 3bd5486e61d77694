"""Training of force fields."""
