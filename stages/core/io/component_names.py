"""Names of components: the section `components` of params.yaml, which only the report, bundles and predictions read.

A name is put in where an explanation is shown, so that a change of it trains nothing.
"""

import logging
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import PositiveInt, RootModel, StringConstraints

from stages.core.run.params import validate
from stages.core.runtime.wording import Names

SECTION = "components"
LOG = logging.getLogger(__name__)
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]


class ComponentNames(RootModel[dict[str, dict[PositiveInt, Name]]]):
    """Section `components`: by product, a name for the number of a component class; classes without one keep it."""


def names_of(section: Any, product: str) -> Names:
    """Return the names of a product's components.

    Args:
        section: of params.yaml; None where it is missing.
        product: a key of it, or none.

    Raises:
        UserError: the section is no mapping of numbers above 0 to text.
    """
    return validate(ComponentNames, section or {}, where=SECTION).root.get(product, {})


def check_names(section: Any, products: Collection[str]) -> Mapping[str, Names]:
    """Validate the section; a product that is not a key of `categories` is named in the log, and its names not used.

    Raises:
        UserError: it is no mapping of numbers above 0 to text.
    """
    names = validate(ComponentNames, section or {}, where=SECTION).root
    if unknown := sorted(set(names) - set(products)):
        LOG.warning("%s: no key of `categories`: %s; correct its name, or remove it", SECTION, ", ".join(unknown))
    return names


def warn_of_unknown(names: Names, known: Collection[int], *, product: str) -> None:
    """Name the numbers that are no component class of the product: most often it was clustered again."""
    if unknown := sorted(set(names) - set(known)):
        numbers = ", ".join(map(str, unknown))
        LOG.warning("%s.%s: there is no component %s: look at the report and number again", SECTION, product, numbers)
