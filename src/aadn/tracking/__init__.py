"""Faces followed from frame to frame: who is who, and where, without trembling."""
