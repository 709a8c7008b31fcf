"""Measures Tally beside what people would otherwise use, and writes down what was found."""
