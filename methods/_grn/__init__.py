"""Gene-regulatory features: a gene transformer's attention and how it changes under a perturbation."""
