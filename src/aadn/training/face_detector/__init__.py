"""Trains the face detector: pictures and where their faces are, drawn into scenes, to a network."""
