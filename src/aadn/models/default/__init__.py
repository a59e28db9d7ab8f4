"""Our default network: one idea a file."""
