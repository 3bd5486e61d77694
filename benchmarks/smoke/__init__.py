"""Each benchmark in short, as ratios within one run, for every change."""
