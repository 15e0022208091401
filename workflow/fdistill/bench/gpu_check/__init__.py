"""Every stage of a study on this machine's device, with small models: whether it runs, and what it computes there."""
