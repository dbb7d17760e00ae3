"""Cameras, poses and where pixels land. Torch only; conventions in docs/geometry.md."""

from cyclopean.geometry.cameras import Camera as Camera
from cyclopean.geometry.cameras import Correspondence as Correspondence
from cyclopean.geometry.cameras import Equirectangular as Equirectangular
from cyclopean.geometry.cameras import Pinhole as Pinhole
from cyclopean.geometry.cameras import axis_angle as axis_angle
from cyclopean.geometry.cameras import invert as invert
from cyclopean.geometry.cameras import mirror as mirror
from cyclopean.geometry.cameras import pixel_grid as pixel_grid
from cyclopean.geometry.cameras import reproject as reproject
from cyclopean.geometry.cameras import reproject_shell as reproject_shell
from cyclopean.geometry.cameras import rigid as rigid
from cyclopean.geometry.cameras import rotate as rotate
from cyclopean.geometry.cameras import size_of as size_of
from cyclopean.geometry.cameras import translation as translation
from cyclopean.geometry.spherical import FACES as FACES
from cyclopean.geometry.spherical import around as around
from cyclopean.geometry.spherical import attention as attention
from cyclopean.geometry.spherical import euler as euler
from cyclopean.geometry.spherical import face_camera as face_camera
from cyclopean.geometry.spherical import face_from_sphere as face_from_sphere
from cyclopean.geometry.spherical import inverse_distance_to_z as inverse_distance_to_z
from cyclopean.geometry.spherical import reproject_first_order as reproject_first_order
from cyclopean.geometry.spherical import ten_from_sphere as ten_from_sphere
from cyclopean.geometry.spherical import uv_on_faces as uv_on_faces
from cyclopean.geometry.spherical import uv_on_sphere as uv_on_sphere
from cyclopean.geometry.spherical import uv_rotated as uv_rotated
