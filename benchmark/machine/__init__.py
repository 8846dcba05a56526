"""The machine that a run works on: where things lie, processes, devices, and how far they are."""
