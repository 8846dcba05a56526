"""What predictions are worth: metrics, bounds, statistics, leak checks, files from elsewhere."""
