"""Readers of data sets: one file per release, original files to samples, reading only."""
