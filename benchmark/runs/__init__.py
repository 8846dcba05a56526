"""One run from its coordinates to its record, and what is done with runs that have finished."""
