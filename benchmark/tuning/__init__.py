"""Hyper-parameters of a method, chosen on validation perturbations and never on test ones."""
