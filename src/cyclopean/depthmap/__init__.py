"""Maps of depth that know what their numbers are, and their files."""

from cyclopean.depthmap.appearing import appearing as appearing
from cyclopean.depthmap.sidecar import Ambiguity as Ambiguity
from cyclopean.depthmap.sidecar import AnyCamera as AnyCamera
from cyclopean.depthmap.sidecar import Kind as Kind
from cyclopean.depthmap.sidecar import Maker as Maker
from cyclopean.depthmap.sidecar import Sidecar as Sidecar
from cyclopean.depthmap.sidecar import Unit as Unit
from cyclopean.depthmap.sidecar import outputs_named_in as outputs_named_in
from cyclopean.depthmap.sidecar import read_sidecar as read_sidecar
from cyclopean.depthmap.values import DepthMap as DepthMap
from cyclopean.depthmap.values import depth_size as depth_size
from cyclopean.depthmap.values import from_numbers as from_numbers
from cyclopean.depthmap.values import read_depth as read_depth
from cyclopean.depthmap.values import write_depth as write_depth
