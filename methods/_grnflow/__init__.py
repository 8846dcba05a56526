"""What every GRNFlow variant shares."""
