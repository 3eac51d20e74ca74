"""The demo: what its page asks of a model (request, drawing), its sessions, and the page itself."""

from demo.model import A_PROMPT, N_PROMPT, Demo

__all__ = ["A_PROMPT", "N_PROMPT", "Demo"]
