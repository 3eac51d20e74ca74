"""The columns of captions of a training folder: filled by captioners, kept apart, merged, reported."""
