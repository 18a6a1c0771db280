"""Judge new pictures of a product with a bundle: `oddpart.load("bundles/bracket/oddpart").predict("picture.png")`.

See docs/operate.md. Commands, stages and flows are in packages of their own.
"""

from stages.core.runtime.bundle import Bundle, Verdict, load
from stages.core.runtime.errors import UserError

__all__ = ["Bundle", "UserError", "Verdict", "load"]
