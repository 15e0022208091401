"""Models: families, one interface over them, checkpoints, students."""
