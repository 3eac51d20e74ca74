"""The demo of a control: what its page asks of a model (request, drawing), and the page of maps itself."""
