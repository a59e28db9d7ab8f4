"""Labelled faces: what a sample is, readers of label files, folders and releases."""
