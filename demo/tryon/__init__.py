"""The fitting room: a person's photo and a garment's, and the person in the garment."""
