"""Faces to look at and to keep: drawn on their picture, as JSON, CSV and .pts files."""
