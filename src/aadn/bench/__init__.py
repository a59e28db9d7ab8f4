"""How long it takes, beside others on the same machine in the same run."""
