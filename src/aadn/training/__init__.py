"""From labelled faces to a checkpoint, and from that to the file that is used. Needs PyTorch."""
