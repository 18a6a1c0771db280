"""NumPy arrays as the content of an `.npz` file: equal arrays give equal bytes.

`numpy.savez` begins each entry before it knows its size, and what that leaves in the file differs between two releases
of Python 3.11. Entries carry no date.
"""

import io
import zipfile
from collections.abc import Mapping

import numpy as np


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return compressed arrays by name, which `numpy.load` reads.

    Raises:
        ValueError: an array would need pickle.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, values in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.asanyarray(values), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getbuffer(), zipfile.ZIP_DEFLATED)
    return content.getvalue()
