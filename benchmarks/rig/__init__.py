"""What `benchmarks/inspection.py` is made of: images and splits, two programs that are asked in turn, and figures."""
