"""Pictures of one run: what it predicted beside what was measured."""
