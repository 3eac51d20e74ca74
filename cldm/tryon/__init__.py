"""Try-on: a garment's photo steers a picture by input channels, tokens, residuals or layout."""
