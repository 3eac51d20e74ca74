"""What checkpoints are worth on held-out maps: pictures, metrics, intervals, tables and a page."""
