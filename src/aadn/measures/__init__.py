"""What a face's landmarks tell: its pose, how open eyes and mouth are, aligned crops."""
