"""What checkpoints are worth on held-out items: pictures, metrics, intervals, tables and a page."""
