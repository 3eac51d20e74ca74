"""The pages: what all of them share, and in rooms of their own that of maps and the fitting room."""
