"""Two-time flow matching: backbone, paths, cascaded training and cascaded sampling."""
