"""The paper's networks, AADN, ODN and ResNet-18: one idea a file."""
