"""A folder of photos becomes a folder of maps: everything that tool_annotate.py does."""
