"""Questions that need many runs: does order matter, is the network known, do published settings come out."""
