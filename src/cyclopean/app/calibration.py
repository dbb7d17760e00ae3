"""Panoramas and metric calibration: the handlers of these two tabs."""

from functools import partial

from cyclopean.app import service
from cyclopean.app.coordinates import fraction, pixel
from cyclopean.app.handlers import AppState, PageUpdate, check_kind, handler
from cyclopean.app.limits import within
from cyclopean.app.routes import VIEWER
from cyclopean.app.session import Session, fresh
from cyclopean.errors import InputError
from cyclopean.geometry import Equirectangular, assumed_camera
from cyclopean.inference.metric_calibration import (
    CameraProfile,
    TwoDistances,
    by_height,
    by_two_points,
    point_at,
    shift_assumed,
    write_profile,
)
from cyclopean.io.depthmap import DepthMap, value_range
from cyclopean.io.files import PHOTOS
from cyclopean.io.image import Photo
from cyclopean.io.sidecar import AnyCamera

FARTHEST = 1000.0  # metres, of what counts as infinitely far
GUESS = "This model leaves scale and shift of its depth unknown, so shapes in space are a guess."


@handler
def open_panorama(state: AppState, session: Session) -> PageUpdate:
    """Open the uploaded panorama: return its depth, and a view to move in."""
    from cyclopean.io.viewer import write_viewer

    with session.opening() as upload:
        check_kind(upload, PHOTOS)
        seconds = state.store.limits.opening_seconds
        preview = within(seconds, upload.name, partial(state.service(session.chosen).opened, upload, "equirectangular"))
    session.preview = preview
    viewer = session.folder / "out" / VIEWER
    viewer.parent.mkdir(exist_ok=True)
    write_viewer(viewer, with_assumed_shift(preview.depth), preview.photo.image, Equirectangular(), upload.name)
    session.keep([viewer])
    return {
        "stage": "depth", "name": upload.name, "full": [preview.full[1], preview.full[0]],
        "note": " ".join([*preview.photo.notes, *([GUESS] if preview.depth.ambiguity == "affine" else [])]),
        "photo": session.show("photo", service.jpeg(preview.photo.image)),
        "depth": session.show("depth", service.jpeg(service.coloured(preview.depth))),
        "space": fresh(f"space/{session.token}"),
    }  # fmt: skip


def with_assumed_shift(depth: DepthMap) -> DepthMap:
    """Return depth that has a shape in space: of an affine map, a guess."""
    return shift_assumed(depth) if depth.ambiguity == "affine" else depth


@handler
def save_panorama(state: AppState, session: Session) -> PageUpdate:
    """Write the panorama's depth as files, and its points in space without those that hang between near and far."""
    from cyclopean.io.files import appearing
    from cyclopean.io.scenes import point_cloud, without_flying_pixels, write_ply

    if session.upload is None or session.preview is None:
        raise InputError("there is no panorama yet; choose one.")
    folder, upload, preview = session.folder / "out", session.upload, session.preview
    work = partial(service.save_depth, state.service(session.model), upload, folder, camera="equirectangular")
    paths = within(state.store.limits.saving_seconds, upload.name, work)
    with appearing(folder) as temporary:
        cleaned = without_flying_pixels(with_assumed_shift(preview.depth), Equirectangular())
        cloud = point_cloud(cleaned, preview.photo.image, Equirectangular())
        write_ply(temporary / f"{upload.stem}_disp.ply", cloud)
    return {"files": session.keep([*paths, folder / f"{upload.stem}_disp.ply"])}


@handler
def photo_again(_: AppState, session: Session) -> PageUpdate:
    """Return the photo of the first tab, to measure in."""
    if session.preview is None or session.upload is None:
        return {"stage": "choose"}
    return {
        "stage": "measure", "name": session.upload.name, "full": list(reversed(session.preview.full)),
        "photo": session.show("photo", service.jpeg(session.preview.photo.image)),
        "depth": session.show("depth", service.jpeg(service.coloured(session.preview.depth))),
    }  # fmt: skip


@handler
def measure(_: AppState, session: Session, points: list[tuple[float, float]]) -> PageUpdate:
    """Keep the points clicked so far; return how far away the last one is, when metres are known."""
    preview = session.opened_photo()
    photo = preview.photo
    session.points = points[-2:]
    if session.profile is None or not points:
        return {"note": "Click the second point." if len(points) == 1 else ""}
    depth = session.profile.applied(preview.depth)
    places = [point_at(depth, _camera(photo), pixel(at, photo.size)) for at in session.points]
    note = f"That point is {float(places[-1].norm()):.2f} m from the camera."
    if len(places) == 2:
        note += f" The two points are {float((places[0] - places[1]).norm()):.2f} m apart."
    return {"note": note}


@handler
def set_distance(_: AppState, session: Session, metres: float | None) -> PageUpdate:
    """Set the scale by the two points."""
    preview, length = session.opened_photo(), _length(metres)
    photo = preview.photo
    if len(session.points) != 2:
        raise InputError("two points are needed; click one end of something whose length you know, then the other.")
    first, second = (pixel(at, photo.size) for at in session.points)
    return _kept(session, by_two_points(preview.depth, _camera(photo), (first, second), length))


@handler
def set_height(_: AppState, session: Session, metres: float | None) -> PageUpdate:
    """Set the scale by the camera's height above the ground."""
    preview, length = session.opened_photo(), _length(metres)
    return _kept(session, by_height(preview.depth, _camera(preview.photo), length))


@handler
def set_distances(_: AppState, session: Session, first: float | None, second: float | None) -> PageUpdate:
    """Set scale and shift of the photo's depth by how far away the two points are."""
    metres = (_length(first), _length(second))
    depth = session.opened_photo().depth
    if len(session.points) != 2:
        raise InputError("two points are needed; click the first one, then the second, at another distance.")
    known = TwoDistances((fraction(session.points[0]), fraction(session.points[1])), metres)
    known.applied(depth)
    session.profile = known
    note = "Click anywhere to read distances; depth of this photo that you save in the first tab is now in metres."
    return {"note": note, "distances": _distances(session, known)}


def _kept(session: Session, profile: CameraProfile) -> PageUpdate:
    session.profile = profile
    path = session.folder / "out" / "camera_profile.json"
    write_profile(path, profile)
    note = (
        f"One unit of depth is {profile.scale:.3g} m ({profile.how}). Click anywhere to read distances; depth that you "
        "save in the first tab is now in metres."
    )
    return {"note": note, "files": session.keep([path]), "distances": _distances(session, profile)}


def _distances(session: Session, profile: CameraProfile | TwoDistances) -> list[float]:
    """Return how far away in metres the nearest and the farthest of the photo are, without the 1 % at either end."""
    low, high = value_range(profile.applied(session.opened_photo().depth).inverse_depth)
    return [1 / max(end, 1 / FARTHEST) for end in (high, low)]


def _camera(photo: Photo) -> AnyCamera:
    return photo.camera or assumed_camera(photo.size)


def _length(metres: float | None) -> float:
    if metres is None:
        raise InputError("no length was given; type one, in metres.")
    return float(metres)
