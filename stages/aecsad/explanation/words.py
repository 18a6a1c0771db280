"""Sizes in words."""


def times(observed: float, normal: float) -> str:
    """The size beside the normal one, such as "0.5 x normal"."""
    if normal < 1e-4:
        return "where normal images have next to none"
    return f"{observed / normal:.1f} x normal" if observed / normal < 10 else "more than 10 x normal"
