"""groundup: train small language models from the ground up, and know which one is better."""

__version__ = "0.1.0"
