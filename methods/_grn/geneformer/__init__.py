"""Geneformer as a source of attention: its tokens, and its published files."""
