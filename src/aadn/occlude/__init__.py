"""Synthetic occluders that know what they hide, and so label each landmark's visibility.

`training` paints what networks learn from, `evaluation` what they are measured on; the two share
the overlay and cut-outs of photographs, and no drawing.
"""
