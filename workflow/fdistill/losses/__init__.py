"""What training minimises: divergences, the objectives made of them, and their evaluation in chunks."""
