"""Many runs from one command: planned, claimed, done by several processes or machines, and counted once."""
