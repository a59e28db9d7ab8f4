"""Numbers: their definitions, what is measured on labelled faces, and reports of it."""
