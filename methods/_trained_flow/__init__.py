"""What every method with a trained flow shares: the harness's side of `methods._flow`."""
