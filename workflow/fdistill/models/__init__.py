"""Teachers and students behind one interface: families, checkpoints, student initialisation, FSDP, memory estimates."""
