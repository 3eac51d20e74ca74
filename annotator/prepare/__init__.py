"""Raw photos and annotations become a training folder: `prepare_folder`."""
