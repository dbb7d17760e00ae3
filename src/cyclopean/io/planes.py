"""Pictures and maps of one picture as numpy arrays, by name; those of torch are in `sample`."""

import numpy as np
from jaxtyping import Bool, Float

Plane = Float[np.ndarray, "h w"]
PlaneMask = Bool[np.ndarray, "h w"]
Region = Float[np.ndarray, "_ _"]  # a plane that is cut out of, or resized from, another one
Colours = Float[np.ndarray, "h w 3"]
