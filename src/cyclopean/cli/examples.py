"""Lines to begin with, shown by every `--help`; a test parses each of them."""

EXAMPLES = {
    "predict": (
        "cyclopean predict photo.jpg",
        "cyclopean predict photos/ clip.mp4 --out depth --save npz,png16",
        "cyclopean predict panorama.jpg --save ply,glb --view html",
    ),
    "refocus": (
        "cyclopean refocus photo.jpg --at 0.4 0.6",
        "cyclopean refocus photo.jpg --at 1200 800 --amount 1.5 --depth beside",
        "cyclopean refocus clip.mp4 --at 0.5 0.5 --track",
    ),
    "app": ("cyclopean app", "cyclopean app --port 8080"),
    "train": (
        "cyclopean train monodepth --network compact --data worlds/train --out runs/mine",
        "cyclopean train monodepth --network compact --data worlds/train --out runs/mine --resume",
        "cyclopean train supervised --network compact --data worlds/train --out runs/twin --size 192x384 --steps 5000",
    ),
    "evaluate": (
        "cyclopean evaluate --data motorcycle",
        "cyclopean evaluate --data traced:DIR --model runs/mine/best,general --protocol worlds",
        "cyclopean evaluate --data DIR --predictions maps --kind depth --json result.json",
    ),
    "check": ("cyclopean check worlds/train", "cyclopean check kitti_raw:DIR:split=eigen_test.txt --items 50"),
    "render": (
        "cyclopean render street worlds/train --count 100",
        "cyclopean render street,room worlds/train --count 1000 --size 192x384",
        "cyclopean render room rooms/train --rig sphere --size 256x512",
    ),
    "render-mesh": (
        "cyclopean render-mesh scene.glb panoramas",
        "cyclopean render-mesh scene.glb panoramas --count 20",
    ),
    "bench": ("cyclopean bench stereo bench", "cyclopean bench robust photos", "cyclopean bench lens shots"),
    "bench stereo": ("cyclopean bench stereo bench --list", "cyclopean bench stereo bench"),
    "bench sphere": ("cyclopean bench sphere bench --list", "cyclopean bench sphere bench"),
    "bench robust": ("cyclopean bench robust photos",),
    "bench lens": ("cyclopean bench lens shots",),
    "doctor": ("cyclopean doctor",),
}


def examples(command: str) -> str:
    """Return the lines of "predict", "bench stereo" and so on as the end of a help; one method's are all methods'."""
    lines = EXAMPLES.get(command) or EXAMPLES.get(command.split(maxsplit=1)[0], ())
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])
