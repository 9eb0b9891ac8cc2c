"""Tuning by the machine: the learning-rate finder, sweeps and search."""
