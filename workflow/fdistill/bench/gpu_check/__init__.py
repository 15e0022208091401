"""A study's training and decoding on this machine's device, with small models: what it computes there."""
