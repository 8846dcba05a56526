"""scGPT as a source of attention: its values, its network, and its published files."""
