"""Panoramas, and metres: what happens at the events of these two tabs."""

from functools import partial

from cyclopean.app import developing
from cyclopean.app.handlers import Stage, Studio, refuse_other_kinds, told
from cyclopean.app.limits import within
from cyclopean.app.place import pixel
from cyclopean.app.routes import VIEWER
from cyclopean.app.session import Session, fresh
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular
from cyclopean.inference.calibration import CameraProfile, by_height, by_two_points, point_at, write_profile
from cyclopean.inference.predictor import assumed_camera
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.files import PHOTOS
from cyclopean.io.image import Photo
from cyclopean.io.sidecar import AnyCamera


@told
def look_around(studio: Studio, session: Session) -> Stage:
    """The uploaded panorama: its depth, and a view to move in."""
    from cyclopean.io.viewer import write_viewer

    with session.opening() as upload:
        refuse_other_kinds(upload, PHOTOS)
        seconds = studio.store.limits.opening_seconds
        preview = within(seconds, upload.name, partial(studio.room.opened, upload, "equirectangular"))
    session.preview = preview
    viewer = session.folder / "out" / VIEWER
    viewer.parent.mkdir(exist_ok=True)
    write_viewer(viewer, preview.depth, preview.photo.image, Equirectangular(), upload.name)
    session.keep([viewer])
    return {
        "stage": "depth", "name": upload.name, "full": [preview.full[1], preview.full[0]],
        "note": " ".join(preview.photo.notes),
        "photo": session.show("photo", developing.jpeg(preview.photo.image)),
        "depth": session.show("depth", developing.jpeg(developing.coloured(preview.depth))),
        "space": fresh(f"space/{session.token}"),
    }  # fmt: skip


@told
def save_panorama(studio: Studio, session: Session) -> Stage:
    """The panorama's depth as files, and its points in space, without those that hang between near and far."""
    from cyclopean.io.files import appearing
    from cyclopean.io.scenes import point_cloud, without_flying_pixels, write_ply

    if session.upload is None or session.preview is None:
        raise InputError("there is no panorama yet; choose one.")
    folder, upload, preview = session.folder / "out", session.upload, session.preview
    work = partial(developing.save_depth, studio.room, upload, folder, camera="equirectangular")
    paths = within(studio.store.limits.saving_seconds, upload.name, work)
    with appearing(folder) as bench:
        solid = without_flying_pixels(preview.depth, Equirectangular())
        cloud = point_cloud(solid, preview.photo.image, Equirectangular())
        write_ply(bench / f"{upload.stem}_disp.ply", cloud)
    return {"files": session.keep([*paths, folder / f"{upload.stem}_disp.ply"])}


@told
def photo_again(_: Studio, session: Session) -> Stage:
    """The photo of the first tab, to measure in."""
    if session.preview is None or session.upload is None:
        return {"stage": "choose"}
    return {
        "stage": "measure", "name": session.upload.name, "full": list(reversed(session.preview.full)),
        "photo": session.show("photo", developing.jpeg(session.preview.photo.image)),
        "depth": session.show("depth", developing.jpeg(developing.coloured(session.preview.depth))),
    }  # fmt: skip


@told
def measure(_: Studio, session: Session, points: list[tuple[float, float]]) -> Stage:
    """The points clicked so far, and how far away the last one is, when metres are known."""
    photo = _measured(session)
    session.points = points[-2:]
    if session.profile is None or not points:
        return {"note": "Click the second point." if len(points) == 1 else ""}
    depth = session.profile.applied(_depth(session))
    places = [point_at(depth, _camera(photo), pixel(at, photo.size)) for at in session.points]
    note = f"That point is {float(places[-1].norm()):.2f} m from the camera."
    if len(places) == 2:
        note += f" The two points are {float((places[0] - places[1]).norm()):.2f} m apart."
    return {"note": note}


@told
def set_distance(_: Studio, session: Session, metres: float | None) -> Stage:
    """The scale by the two points."""
    photo, given = _measured(session), _length(metres)
    if len(session.points) != 2:
        raise InputError("two points are needed; click one end of something whose length you know, then the other.")
    first, second = (pixel(at, photo.size) for at in session.points)
    return _kept(session, by_two_points(_depth(session), _camera(photo), (first, second), given))


@told
def set_height(_: Studio, session: Session, metres: float | None) -> Stage:
    """The scale by the camera's height above the ground."""
    photo, given = _measured(session), _length(metres)
    return _kept(session, by_height(_depth(session), _camera(photo), given))


def _kept(session: Session, profile: CameraProfile) -> Stage:
    session.profile = profile
    path = session.folder / "out" / "camera_profile.json"
    write_profile(path, profile)
    note = (
        f"One unit of depth is {profile.scale:.3g} m ({profile.how}). Click anywhere to read distances; depth that you "
        "save in the first tab is now in metres."
    )
    return {"note": note, "files": session.keep([path])}


def _measured(session: Session) -> Photo:
    if session.preview is None:
        raise InputError("there is no photo yet; choose one.")
    return session.preview.photo


def _depth(session: Session) -> DepthMap:
    if session.preview is None:
        raise InputError("there is no photo yet; choose one.")
    return session.preview.depth


def _camera(photo: Photo) -> AnyCamera:
    return photo.camera or assumed_camera(photo.size)


def _length(metres: float | None) -> float:
    if metres is None:
        raise InputError("no length was given; type one, in metres.")
    return float(metres)
