"""Units, enumerations and the container of atomic structures; imports nothing else of the package."""
