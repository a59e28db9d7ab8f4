"""The paper's networks, one idea a file, and our own default."""
