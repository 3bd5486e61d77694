"""What trainings cost, which models learn most of few labels, and how many labels a pretrained one saves."""
