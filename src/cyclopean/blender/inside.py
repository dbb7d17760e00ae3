"""Run by Blender's own Python, never imported by this package: `blender -b --python inside.py -- ORDER.json`,
or `python inside.py ORDER.json` where `bpy` is installed. Standard library, bpy and mathutils only.

Reads an order (see `cyclopean.blender.rendering`), loads the mesh, chooses places, and renders at each the views and
the depth of the centre. Lines on standard output that begin with `CYCLOPEAN ` are for the program that started it.
"""

import json
import math
import random
import sys
from pathlib import Path

import bpy
from mathutils import Matrix, Vector

RAYS = 96  # directions in which free space is felt for
CLOSED = 0.9  # share of them that must meet something: a place inside
CLEARANCE = 0.35  # metres from any view to the nearest surface
EYES = (0.8, 2.2)  # metres above what lies below
TRIES = 4000
LAMP_WATTS = 12.0  # per square metre of the box around the scene
LAMPS = 6


class RefusedError(Exception):
    """A sentence for the user."""


def say(kind, text):
    print(f"CYCLOPEAN {kind} {text}", flush=True)  # noqa: T201


def load(path, up, unit):
    """Make an empty scene with the mesh in it, z up, in metres."""
    if path.suffix.lower() == ".blend":
        bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False, use_scripts=False)
    else:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        importer(path.suffix.lower(), up)(str(path))
    if path.suffix.lower() in (".glb", ".gltf") and up == "z":
        turn(Matrix.Rotation(-math.pi / 2, 4, "X"))  # the importer took y for up
    turn(Matrix.Scale(unit, 4))
    bpy.context.view_layer.update()
    if not any(thing.type == "MESH" and len(thing.data.polygons) for thing in bpy.context.scene.objects):
        raise RefusedError(f"{path.name} holds no surface that Blender could read; it needs a mesh with faces.")


def importer(suffix, up):
    """Return how a file of that kind is read; `up` is the axis that points up in the file, or auto: what is usual."""
    axes = {"y": ("NEGATIVE_Z", "Y"), "z": ("Y", "Z")}
    if suffix in (".glb", ".gltf"):
        enable("io_scene_gltf2")
        return lambda path: bpy.ops.import_scene.gltf(filepath=path)
    operator = {".obj": bpy.ops.wm.obj_import, ".ply": bpy.ops.wm.ply_import}[suffix]
    forward, upward = axes["y" if suffix == ".obj" and up == "auto" else "z" if up == "auto" else up]
    return lambda path: operator(filepath=path, forward_axis=forward, up_axis=upward)


def enable(addon):
    import addon_utils  # bpy makes it importable

    addon_utils.enable(addon)


def turn(matrix):
    for thing in bpy.context.scene.objects:
        if thing.parent is None:
            thing.matrix_world = matrix @ thing.matrix_world


def box():
    """Return lowest and highest corner of everything that has faces."""
    corners = [
        thing.matrix_world @ Vector(corner)
        for thing in bpy.context.scene.objects
        if thing.type == "MESH"
        for corner in thing.bound_box
    ]
    return [Vector(f(c[k] for c in corners) for k in range(3)) for f in (min, max)]


def directions():
    """Spread directions evenly over the sphere (Fibonacci)."""
    for n in range(RAYS):
        z, turned = 1 - (2 * n + 1) / RAYS, n * math.pi * (3 - math.sqrt(5))
        level = math.sqrt(1 - z * z)
        yield Vector((level * math.cos(turned), level * math.sin(turned), z))


def reach(origin, way):
    """Return the metres to what lies that way, or None."""
    scene, graph = bpy.context.scene, bpy.context.evaluated_depsgraph_get()
    hit, place, *_ = scene.ray_cast(graph, origin, way)
    return (place - origin).length if hit else None


def why_not(place, views):
    """Return what is wrong with a rig there, or None."""
    below = reach(place, Vector((0, 0, -1)))
    if below is None or not EYES[0] <= below <= EYES[1]:
        return "with nothing to stand on at eye level"
    felt = [reach(place, way) for way in directions()]
    if sum(distance is not None for distance in felt) < CLOSED * RAYS:
        return "outside, or beside a hole"
    for view in views:
        step = view - place
        if step.length and (reach(place, step.normalized()) or math.inf) < step.length + CLEARANCE:
            return "too near to something"
        if any((reach(view, way) or math.inf) < CLEARANCE for way in directions()):
            return "too near to something"
    return None


def places(order):
    """Return position, heading and the positions of the views of each item, the same for the same seed."""
    rng, (low, high) = random.Random(order["seed"]), box()
    refused: dict[str, int] = {}
    chosen: list[tuple[float, dict[str, Vector]]] = []
    for tried in range(TRIES * order["count"]):
        if len(chosen) == order["count"] or (tried == TRIES and not chosen):
            break
        place = Vector(rng.uniform(low[k], high[k]) for k in range(3))
        heading = rng.uniform(-math.pi, math.pi)
        views = viewpoints(place, heading, order["baseline"])
        reason = why_not(place, views.values())
        if reason:
            refused[reason] = refused.get(reason, 0) + 1
        else:
            chosen.append((heading, views))
    if len(chosen) < order["count"]:
        raise RefusedError(nowhere(len(chosen), order["count"], refused, high - low))
    return chosen


def viewpoints(place, heading, baseline):
    """Return where the views stand. Heading 0 looks along y, z is up; right of it is x."""
    right = Vector((math.cos(heading), -math.sin(heading), 0))
    return {"centre": place, "up": place + Vector((0, 0, baseline)), "right": place + baseline * right}


def nowhere(fitting, count, refused, size):
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(refused.items(), key=lambda x: -x[1]))
    return (
        f"only {fitting} of {count} places were found where the rig has room; of the places tried {reasons}. The scene "
        f"measures {size.x:.2f} x {size.y:.2f} x {size.z:.2f} m (the last one up): if that is wrong, give --unit or "
        "--up; else ask for fewer."
    )


def panorama():
    """Make a camera of the full sphere, the scene's own."""
    data = bpy.data.cameras.new("panorama")
    data.type = "PANO"
    # Until Blender 4 this setting belonged to Cycles; the wheel of 4.5 has it on the camera.
    (data if hasattr(data, "panorama_type") else data.cycles).panorama_type = "EQUIRECTANGULAR"
    data.clip_start, data.clip_end = 0.001, 1e6
    thing = bpy.data.objects.new("panorama", data)
    bpy.context.scene.collection.objects.link(thing)
    bpy.context.scene.camera = thing
    return thing


def stand(camera, place, heading):
    """Return the rotation of a level camera: Blender's looks along its -z; this one along y, turned right by the
    heading.
    """
    level = Matrix.Rotation(-heading, 4, "Z") @ Matrix.Rotation(math.pi / 2, 4, "X")
    camera.matrix_world = Matrix.Translation(place) @ level


def lit_by(scene, choice):
    """Return how the scene is lit: as requested, or by what its file offers."""
    if choice != "auto":
        return choice
    if any(thing.type == "LIGHT" for thing in scene.objects):
        return "scene"
    coloured = any(painting(material) for material in bpy.data.materials) or any(
        len(mesh.color_attributes) for mesh in bpy.data.meshes
    )
    return "baked" if coloured else "lamps"


def painting(material):
    """Return the picture on a material, or None."""
    nodes = material.node_tree.nodes if material.use_nodes and material.node_tree else []
    return next((node for node in nodes if node.type == "TEX_IMAGE" and node.image), None)


def light(scene, how, rng):
    """Light the scene by what stands still while the cameras move: a lamp at a camera would let brightness tell
    depth.
    """
    if how == "scene":
        return
    for thing in [thing for thing in scene.objects if thing.type == "LIGHT"]:
        bpy.data.objects.remove(thing)
    world(scene, 0.0 if how == "baked" else 0.25)
    if how == "baked":
        for mesh in bpy.data.meshes:
            shine(mesh)
        scene.view_settings.view_transform = "Standard"  # the colours of the file, unchanged
    else:
        hang_lamps(scene, rng)


def world(scene, strength):
    scene.world = bpy.data.worlds.new("light")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 1, 1, 1)
    scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = strength


def shine(mesh):
    """Make every surface shine in its own colour and nothing else, as scans were coloured."""
    if not mesh.materials:
        mesh.materials.append(bpy.data.materials.new("bare"))
    for material in filter(None, mesh.materials):
        if material.get("shines"):
            continue
        plain, picture = tuple(material.diffuse_color), painting(material)
        plain = principled(material) or plain
        material.use_nodes = True
        nodes, links = material.node_tree.nodes, material.node_tree.links
        output = next((n for n in nodes if n.type == "OUTPUT_MATERIAL"), None) or nodes.new("ShaderNodeOutputMaterial")
        emission = nodes.new("ShaderNodeEmission")
        emission.inputs["Color"].default_value = plain
        if picture:
            links.new(picture.outputs["Color"], emission.inputs["Color"])
        elif len(mesh.color_attributes):
            attribute = nodes.new("ShaderNodeVertexColor")
            attribute.layer_name = mesh.color_attributes[0].name
            links.new(attribute.outputs["Color"], emission.inputs["Color"])
        links.new(emission.outputs["Emission"], output.inputs["Surface"])
        material["shines"] = True


def principled(material):
    nodes = material.node_tree.nodes if material.use_nodes and material.node_tree else []
    found = next((node for node in nodes if node.type == "BSDF_PRINCIPLED"), None)
    return tuple(found.inputs["Base Color"].default_value) if found else None


def hang_lamps(scene, rng):
    """Hang lamps high up in free space, the same for every item."""
    low, high = box()
    extent = high - low
    hung = 0
    for _ in range(TRIES):
        place = Vector((rng.uniform(low.x, high.x), rng.uniform(low.y, high.y), rng.uniform(low.z, high.z)))
        below, above = reach(place, Vector((0, 0, -1))), reach(place, Vector((0, 0, 1)))
        if below is None or above is None or below < 2 * above or above < 0.1:
            continue
        lamp = bpy.data.lights.new("lamp", "POINT")
        lamp.energy = LAMP_WATTS * max(extent.x * extent.y, 4.0) / LAMPS
        lamp.shadow_soft_size = 0.15
        thing = bpy.data.objects.new("lamp", lamp)
        thing.location = place
        thing.visible_camera = False
        scene.collection.objects.link(thing)
        hung += 1
        if hung == LAMPS:
            return


def prepare(scene, order):
    """Set up Cycles on the CPU, with nothing in between that changes pixels."""
    enable("cycles")
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.seed = order["seed"]
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    scene.render.resolution_x, scene.render.resolution_y = order["size"][1], order["size"][0]
    scene.render.resolution_percentage = 100
    scene.render.film_transparent = False
    scene.render.use_compositing = scene.render.use_sequencer = False
    scene.render.use_border = False
    scene.view_layers[0].use_pass_z = True
    if order["threads"]:
        scene.render.threads_mode, scene.render.threads = "FIXED", order["threads"]


def take_colour(scene, path, samples):
    """Render a picture, antialiased, in 8 bit."""
    scene.cycles.samples = samples
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BLACKMAN_HARRIS", 1.5
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGB", "8"
    shoot(scene, path)


def take_depth(scene, path):
    """Render the distance along the ray through the middle of each pixel: one sample, a filter too narrow to stray."""
    scene.cycles.samples = 1
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BOX", 0.01
    settings = scene.render.image_settings
    settings.file_format, settings.color_depth = "OPEN_EXR_MULTILAYER", "32"
    shoot(scene, path)


def shoot(scene, path):
    scene.render.filepath = str(path)
    scene.render.use_file_extension = False
    bpy.ops.render.render(write_still=True)


def work(order):
    load(Path(order["mesh"]), order["up"], order["unit"])
    scene, staging = bpy.context.scene, Path(order["staging"])
    prepare(scene, order)
    chosen = places(order)
    how = lit_by(scene, order["light"])
    light(scene, how, random.Random(order["seed"] + 1))
    say("light", how)
    camera = panorama()
    for n in order["items"]:
        heading, views = chosen[n]
        for name, place in views.items():
            stand(camera, place, heading)
            take_colour(scene, staging / f"{n:06d}_{name}.png", order["samples"])
        stand(camera, views["centre"], heading)
        take_depth(scene, staging / f"{n:06d}_depth.exr")
        say("item", json.dumps({"number": n, "position": list(views["centre"]), "heading": heading}))


def main():
    order = json.loads(Path(sys.argv[-1]).read_text())
    try:
        work(order)
    except RefusedError as refusal:
        say("refused", refusal)
    except RuntimeError as error:  # how Blender's operators tell of a file that they cannot read
        say("refused", f"Blender could not use {Path(order['mesh']).name}: {' '.join(str(error).split())}")
    else:
        say("done", "")


main()
