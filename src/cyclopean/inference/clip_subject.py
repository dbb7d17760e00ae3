"""The subject of a clip: the matte of the thing that a tracked point is on, made steady along the motion."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from cyclopean.defocus.focus import Sharp
from cyclopean.defocus.subject import coherent, soft_matte
from cyclopean.defocus.video import Moment, Spot, value_at
from cyclopean.inference.subject import SubjectSelector
from cyclopean.io.depthmap import DepthMap
from cyclopean.io.image import Photo
from cyclopean.io.planes import Plane
from cyclopean.networks.subject import SubjectNet

STEADY = 0.4  # seconds of the mean of masks


@dataclass
class ClipSubject:
    """The mask of a clip's subject from frame to frame, a mean of about `STEADY` seconds along the motion."""

    network: SubjectNet
    mask: Plane | None = None  # at the size of a moment's depth, 0 to 1; None: there was no subject

    def add(self, photo: Photo, depth: Plane, now: Moment, last: Moment | None, spot: Spot | None) -> "Subject | None":
        """Return the subject at a tracked `spot` (pixels of the moment's depth) of the next frame, whose `depth` has
        the photo's size. None where there is none: the point is lost, or on ground or sky. `last` None: the frame has
        nothing to do with the one before.
        """
        before, self.mask = self.mask, None
        if spot is None:
            return None
        (height, width), (h, w) = photo.size, now.depth.shape
        plane = torch.from_numpy(depth)[None, None]
        whole = DepthMap(plane, "inverse_depth", "relative", None, plane.isfinite(), None, "affine")
        select = SubjectSelector(photo, whole, self.network)
        rough = select.rough([(min(int(spot[0] * width / w), width - 1), min(int(spot[1] * height / h), height - 1))])
        mask = np.zeros((h, w), np.float32) if rough is None else cv2.resize(rough, (w, h))
        moved = now.motion
        if before is not None and last is not None and moved is not None and not moved.cut:
            weight = -math.expm1(-(now.seconds - last.seconds) / STEADY)
            mask = np.where(moved.sure, mask * weight + moved.warp(before) * (1 - weight), mask)
        self.mask = mask
        if value_at(mask, spot) < 0.5:
            return None
        matte = soft_matte(mask, select.guide)
        subject = matte >= 0.5
        if subject.all() or not subject.any():
            return None
        surface, sharp = coherent(select.depth, torch.from_numpy(matte)[None, None])
        return Subject(surface.inverse_depth[0, 0].numpy(), sharp)


@dataclass(frozen=True)
class Subject:
    """Inverse depth of a frame in which its subject is one surface, and what of it is sharp."""

    depth: Plane
    sharp: Sharp
