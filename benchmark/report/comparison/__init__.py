"""Two runs side by side: paired differences, perturbation by perturbation."""
