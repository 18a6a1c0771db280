"""Take passwords and tokens out of text that is shown: remotes hold them in addresses, and commands repeat those."""

import re

HIDDEN = "***"
SECRET = r"token|secret|passw|pwd|signature|credential|api_?key|access_?key|\bkey|\bsig|\bauth"
RULES = (
    (re.compile(r"(?<=://)(?![^\s/:@]+@)[^\s/'\"]+@"), f"{HIDDEN}@"),  # user:password@ with the last @ before the path
    (re.compile(r"(https?://)[^\s/'\"]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),  # a token alone is a user to HTTP
    (
        re.compile(rf"([?&;#][^\s=&;#]*(?:{SECRET}|\bkey|\bsig|\bauth)[^\s=&;#]*=)[^\s&;#'\"]+", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(authorization:\s*\w+\s+)[^\s'\"]+", re.IGNORECASE), rf"\1{HIDDEN}"),  # http.extraHeader of git
)


def redact(text: str) -> str:
    """Return the text without what follows "://" up to "@", and without values of parameters such as ?token=.

    The user of an address without a password stays (ssh://git@host), but for HTTP, where it may be a token.
    """
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    return text
