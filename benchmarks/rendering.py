"""Procedural worlds: stereo pairs with depth, by family, and the other rigs."""

from benchmarks.measure import Case, Work

SIZE = (192, 384)
FAMILIES = ("street", "room", "table", "landscape")


def _case(family: str, rig: str, unit: str) -> Case:
    def prepare(_: str) -> Work:
        from cyclopean import worlds

        seeds = iter(range(1000, 2000))
        return lambda: worlds.sample(family, next(seeds), SIZE, rig)

    return Case(prepare, unit=unit, repeat=40, on_device=False)


CASES = {f"{family}, stereo {SIZE[0]}x{SIZE[1]}": _case(family, "stereo", "pairs") for family in FAMILIES} | {
    "street, clip of three": _case("street", "clip", "clips"),
    "room, sphere of three": _case("room", "sphere", "triples"),
}
