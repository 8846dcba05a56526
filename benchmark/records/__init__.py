"""What is kept of a run, in MLflow and as files, and how it is found again."""
