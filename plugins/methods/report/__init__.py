"""The report of a search: figures, and a page that needs nothing but a browser."""
