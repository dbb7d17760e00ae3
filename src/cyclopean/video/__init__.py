"""Videos: frames in and out, how they move, depth that is steady in time."""

from cyclopean.video.files import SUFFIXES as SUFFIXES
from cyclopean.video.files import Clip as Clip
from cyclopean.video.files import Frame as Frame
from cyclopean.video.files import Still as Still
from cyclopean.video.files import describe as describe
from cyclopean.video.files import frames as frames
from cyclopean.video.files import rewrite as rewrite
from cyclopean.video.files import stills as stills
from cyclopean.video.files import write_video as write_video
