"""Which methods the params switch on for which categories: a file that an earlier run left is no result of this one."""

from collections.abc import Collection, Mapping, Sequence

from stages.core.running.params import load_value


def evaluated_pairs(
    categories: Sequence[str], methods: Sequence[str], *, off_by_default: Collection[str]
) -> list[tuple[str, str]]:
    """(category, method) of every evaluation that dvc.yaml has under the current params, in the order of the tables.

    Raises:
        UserError: params.yaml lacks a section of a method that is off by default.
    """
    on = switched_on()
    return [(c, m) for c in categories for m in methods if m not in off_by_default or c in on.get(m, ())]


def switched_on() -> Mapping[str, Collection[str]]:
    """The categories of each method that is switched on by name; `evaluation_...` in dvc.yaml run on the same."""
    sir = load_value("sir.categories")
    return {
        "inctrl": load_value("inctrl.categories"),
        "madclip": load_value("madclip.categories"),
        "uninformed_students": load_value("uninformed_students.categories"),
        **dict.fromkeys(load_value("sir.universal"), sir),
        **dict.fromkeys(load_value("sir.specialised"), sir),
    }
