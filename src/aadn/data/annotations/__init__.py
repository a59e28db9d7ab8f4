"""Labelled faces in the files of other tools: one file here for each form, read and written."""
