"""Videos: frames in and out, how they move, depth that is steady in time."""

from cyclopean.video.files import MEGAPIXELS as MEGAPIXELS
from cyclopean.video.files import Clip as Clip
from cyclopean.video.files import Still as Still
from cyclopean.video.files import describe as describe
from cyclopean.video.files import frames as frames
from cyclopean.video.files import stills as stills
from cyclopean.video.pictures import Frame as Frame
from cyclopean.video.writing import left_out as left_out
from cyclopean.video.writing import rewrite as rewrite
from cyclopean.video.writing import write_timed as write_timed
from cyclopean.video.writing import write_video as write_video
