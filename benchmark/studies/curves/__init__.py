"""What more training, or more training perturbations, would buy: error against cost."""
