"""Crystal structure search by active learning with AiiDA."""

__version__ = '0.1.0'
