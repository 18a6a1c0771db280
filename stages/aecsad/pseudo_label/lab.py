"""CIE Lab as OpenCV gives it."""

L_UNIT = 100 / 255  # its 8-bit L is 0..255; a and b keep their unit
