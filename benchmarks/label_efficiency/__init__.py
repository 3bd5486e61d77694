"""How many labels a search needs on surfaces that cost nothing, against other methods and random search.

Ground states from known phases, searches, what is missing of the plan (in its order), the page of the documentation::

    python -m benchmarks.label_efficiency phases
    python -m benchmarks.label_efficiency run --system si8 --method prospect --seeds 1-10 [--pool-kind p1] [--jobs 2]
    python -m benchmarks.label_efficiency run --all [--jobs 2] [--hours 2]
    python -m benchmarks.label_efficiency table

Searches run in this process, on the functions that the calculation functions and the runners of the work chains are
made of (:mod:`benchmarks.label_efficiency.loop`). What is stored under ``benchmarks/results/label_efficiency`` is not
run again.
"""
