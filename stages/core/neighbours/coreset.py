"""Choose the few training patches of a memory bank, such that none of the others is far from all of them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

ACTIVE_PART = 64  # one row in 64 is kept up to date within a round; changes the speed only
BLOCK = 8192  # rows that catch up at a time; changes the memory only


def choose_coreset(
    patches: Float[Tensor, "P C"], *, ratio: float, dimensions: int, generator: torch.Generator
) -> Int[Tensor, " k"]:
    """Choose rows by greedy k-centre selection after a random projection.

    Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022, section 3.2 and algorithm 1; the
    projection is also theirs (Johnson-Lindenstrauss), to 128 dimensions in their published code.

    Args:
        ratio: share of the rows to choose, rounded to the nearest count, at least one.
        dimensions: of the projection; with C or more there is none.
        generator: on the CPU; it draws the projection and the first row.

    Raises:
        ValueError: no rows.
    """
    if len(patches) == 0:
        raise ValueError("no patches to choose a coreset from")
    if dimensions < patches.shape[1]:
        directions = torch.randn(patches.shape[1], dimensions, generator=generator) / dimensions**0.5
        patches = patches @ directions.to(patches.device)
    first = int(torch.randint(len(patches), (1,), generator=generator))
    return greedy_k_centre(patches, count=max(1, round(ratio * len(patches))), first=first)


def greedy_k_centre(points: Float[Tensor, "P C"], *, count: int, first: int) -> Int[Tensor, " count"]:
    """Return indices (on the CPU) of `count` different rows, each the farthest from those before it.

    A row's distance to its nearest centre only shrinks. So a round keeps no more up to date than the rows that
    are farthest at its start, and ends when the best of them falls below what the others had; then all rows catch
    up with the round's centres in matrix products. The result is that of the plain algorithm, up to rounding.

    Raises:
        ValueError: count is not in 1..P.
    """
    if not 1 <= count <= len(points):
        raise ValueError(f"{count} of {len(points)} points cannot be chosen")
    chosen = [first]
    squares = points.square().sum(dim=1)
    distances = torch.full_like(squares, torch.inf)
    catch_up(distances, points, squares, [first])
    while len(chosen) < count:
        farthest = distances.topk(max(2, len(points) // ACTIVE_PART)).indices
        limit = float(distances[farthest[-1]])
        picked = pick_above(points[farthest], distances[farthest], squares[farthest], limit, count - len(chosen))
        new = [int(index) for index in farthest[picked]]
        catch_up(distances, points, squares, new)
        chosen += new
    return torch.tensor(chosen)


def pick_above(
    points: Float[Tensor, "A C"], distances: Float[Tensor, " A"], squares: Float[Tensor, " A"], limit: float, count: int
) -> list[int]:
    """Pick at most `count` rows, each the farthest, while that one is no nearer than `limit`; one at least.

    Args:
        distances: squared, to the nearest centre so far, -1 for the centres themselves.
        squares: squared norms of the rows.
    """
    picked: list[int] = []
    distances = distances.clone()
    while len(picked) < count:
        value, index = distances.max(dim=0)
        if picked and float(value) < limit:
            break
        best = int(index)
        picked.append(best)
        to_best = torch.addmv(squares + squares[best], points, points[best], alpha=-2.0).clamp_(min=0.0)
        distances = torch.minimum(distances, to_best)
        distances[picked] = -1.0  # never again, even where rounding or a duplicate leaves a distance
    return picked


def catch_up(
    distances: Float[Tensor, " P"], points: Float[Tensor, "P C"], squares: Float[Tensor, " P"], new: list[int]
) -> None:
    """Lower, in place, each row's squared distance to its nearest centre by the centres `new`; theirs become -1."""
    for start in range(0, len(points), BLOCK):
        block = slice(start, start + BLOCK)
        products = torch.addmm(squares[new], points[block], points[new].T, alpha=-2.0)
        nearest = (products.amin(dim=1) + squares[block]).clamp_(min=0.0)
        done = distances[block] < 0
        distances[block] = torch.minimum(distances[block], nearest).masked_fill(done, -1.0)
    distances[new] = -1.0
