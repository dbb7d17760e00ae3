"""Files in and out: photos, depth maps with their sidecars, videos, 3-D scenes."""
