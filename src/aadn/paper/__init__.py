"""What the paper reports beside the benchmarks: its ablations, its costs, its feature maps."""
