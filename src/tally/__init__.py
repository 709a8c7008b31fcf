"""A shared running total that can be trusted."""

__version__ = "0.1.0"
