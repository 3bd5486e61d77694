"""How many crystals relax in a second, with what is there and with this package, and how many evaluations it takes."""
