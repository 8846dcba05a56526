"""The score of the Virtual Cell Challenge 2026: six metrics of cell-eval2, between two anchors."""
