"""Cameras, poses and where pixels land. Torch only; conventions in docs/geometry.md."""

from cyclopean.geometry.camera import Camera as Camera
from cyclopean.geometry.camera import Equirectangular as Equirectangular
from cyclopean.geometry.camera import Pinhole as Pinhole
from cyclopean.geometry.cubemap import FACES as FACES
from cyclopean.geometry.cubemap import face_camera as face_camera
from cyclopean.geometry.cubemap import face_from_sphere as face_from_sphere
from cyclopean.geometry.cubemap import ten_from_sphere as ten_from_sphere
from cyclopean.geometry.cubemap import uv_on_faces as uv_on_faces
from cyclopean.geometry.cubemap import uv_on_sphere as uv_on_sphere
from cyclopean.geometry.grid import pixel_grid as pixel_grid
from cyclopean.geometry.landing import Landing as Landing
from cyclopean.geometry.landing import reproject as reproject
from cyclopean.geometry.landing import reproject_shell as reproject_shell
from cyclopean.geometry.pose import axis_angle as axis_angle
from cyclopean.geometry.pose import invert as invert
from cyclopean.geometry.pose import mirror as mirror
from cyclopean.geometry.pose import rigid as rigid
from cyclopean.geometry.pose import rotate as rotate
from cyclopean.geometry.pose import translation as translation
from cyclopean.geometry.sphere import around as around
from cyclopean.geometry.sphere import attention as attention
from cyclopean.geometry.sphere import reproject_first_order as reproject_first_order
