"""From a network that sees a picture to the inverse depth of a whole panorama, without a border where it has none.

Two ways: a network for panoramas looks twice, each look fading out towards its own seam; a network for perspective
pictures looks at ten overlapping faces around, whose scales and shifts are then solved for together. Details of the
second fit into the layout of the first.
"""

from cyclopean.surround.details import with_details as with_details
from cyclopean.surround.faces import FIELD_OF_VIEW as FIELD_OF_VIEW
from cyclopean.surround.faces import Merged as Merged
from cyclopean.surround.faces import merged_faces as merged_faces
from cyclopean.surround.looks import enlarged as enlarged
from cyclopean.surround.looks import heading as heading
from cyclopean.surround.looks import looked_at_twice as looked_at_twice
from cyclopean.surround.looks import seam_score as seam_score
