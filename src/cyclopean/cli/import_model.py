"""`cyclopean import`: weights that others released, as a model's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopean.cli.early import loading
from cyclopean.cli.output import emit, remark
from cyclopean.cli.parsing import check_writable, parse
from cyclopean.errors import InputError, unknown_name
from cyclopean.flags import Flag
from cyclopean.io.files import printable, refuse_unreadable

KINDS = {"monodepth2": ("encoder.pth", "depth.pth")}  # name -> the files that are needed


@dataclass(frozen=True)
class Import:
    """Turn weights that others released into a model's folder, which every command takes by --model OUT.

    monodepth2: a folder with encoder.pth and depth.pth as Monodepth2 was released, ResNet18 or 50; with
    pose_encoder.pth and pose.pth beside them it can be trained further on video. Models of KITTI's pairs predict
    metres, others up to scale. Their licence, which excludes commercial use, is kept in OUT/config.json. Files are read
    as tensors alone.
    """

    kind: Annotated[str, Flag("KIND", positional=True, default="(required)")] = ""
    """Whose weights they are: monodepth2."""
    folder: Annotated[str, Flag("FOLDER", positional=True, default="(required)")] = ""
    """Where the files are."""
    out: Annotated[str, Flag("OUT", positional=True, default="(required)")] = ""
    """The model's folder; it must not hold a model yet."""


def main(arguments: list[str]) -> int:
    return run(parse(Import, arguments, "cyclopean import"))


def run(options: Import) -> int:
    """Import one model and print where it is."""
    if not (options.kind and options.folder and options.out):
        raise InputError("it needs a kind, a folder and a place, such as: cyclopean import monodepth2 FOLDER OUT")
    if options.kind not in KINDS:
        raise unknown_name("kind of weights", options.kind, KINDS)
    folder, out = Path(options.folder), Path(options.out)
    for name in KINDS[options.kind]:
        refuse_unreadable(folder / name)
    if (out / "config.json").exists():
        raise InputError(f"{out} holds a model already; give another folder, or remove it.")
    check_writable([out])
    loading("import", "torch")
    from cyclopean.training.importers import MONODEPTH2_LICENCE, import_monodepth2

    method = import_monodepth2(folder, out)
    unit = "metres, by the rig of KITTI" if method.ambiguity == "metric" else "depth up to scale"
    remark(f"licence of these weights: {MONODEPTH2_LICENCE}.")
    emit({"out": out, "predicts": unit, "pose": method.pose is not None, "licence": MONODEPTH2_LICENCE})
    print(f"{printable(out)}: monodepth2, {unit}{', with a pose network' if method.pose is not None else ''}")
    return 0
