"""How does building say that it cannot go on?"""


class Failed(Exception):
    """One sentence for whoever builds."""
