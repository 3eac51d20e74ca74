"""With low memory, only those parts of a model are on its device that are at work."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from demo.garments.page_request import REPAINT
from demo_requests import REGIONS, drawn, small_demo
from generation.control_files import ControlFile, Steering
from small import small_model

# the CPU under a second name, which tensors go to and modules are sent to as to a GPU
DEVICE = "cpu:0"


class Places:
    """Writes down where a demo's parts are, by what they were sent to, whenever one of them is called."""

    def __init__(self, demo):
        model = demo.model
        model._device = torch.device(DEVICE)
        self.parts = dict(text=model.cond_stage_model, autoencoder=model.first_stage_model, unet=model.model)
        self.parts["control"] = model.control_model
        self.parts |= {f"further {i}": steering.branch for i, steering in enumerate(demo.further)}
        self.where, self.seen = dict.fromkeys(self.parts, DEVICE), []
        for name, part in self.parts.items():
            self.watch(name, part)

    def watch(self, name, part):
        def to(device):
            self.where[name] = str(device)
            return part

        def noted(*_):
            self.seen.append((name, {n for n, where in self.where.items() if where == DEVICE}))

        part.to = to
        for module in part.modules():
            module.register_forward_pre_hook(noted)

    def beside(self, name):
        """The parts that were on the device when a part was called."""
        found = {frozenset(there) for called, there in self.seen if called == name}
        assert len(found) == 1, f"{name} was called {'nowhere' if not found else f'beside {found}'}"
        return set(*found)


def demo_with_a_further_control(**options):
    branch = small_model(zeros=False).control_model
    return small_demo(further=(Steering(ControlFile("pose.safetensors"), branch, REGIONS, "1"),), **options)


@pytest.fixture
def choices(tmp_path):
    """A photo to repaint, a map for the further control, and previews: all parts have to act."""
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "pose.png")
    further = [str(tmp_path / "pose.png"), 1.0]
    start = dict(photo=str(tmp_path / "photo.png"), photo_use=REPAINT, repaint=["top"], denoise=1.0)
    return start | dict(further=further, preview=True, ddim_steps=10, compare=True)


def test_parts_that_do_not_work_are_off_the_device(choices):
    demo = demo_with_a_further_control(low_memory=True)
    places = Places(demo)
    drawn(demo, **choices)
    sampling, encoding = {"unet", "control", "further 0"}, {"text", "autoencoder"}
    assert [places.beside(name) for name in ("unet", "control", "further 0")] == [sampling] * 3
    assert [places.beside(name) for name in ("text", "autoencoder")] == [encoding] * 2


def test_without_low_memory_nothing_moves(choices):
    demo = demo_with_a_further_control()
    places = Places(demo)
    drawn(demo, **choices)
    assert all(places.beside(name) == {*places.parts} for name in places.parts)


def test_a_request_that_was_stopped_amid_sampling_leaves_the_next_one_its_parts(choices):
    def stop(told):
        raise InterruptedError

    from demo.garments.drawing import draw_request
    from demo_requests import request

    demo = demo_with_a_further_control(low_memory=True)
    places = Places(demo)
    with pytest.raises(InterruptedError):
        draw_request(demo, request(demo, **choices), stop)
    assert places.where["text"] == "cpu" and places.where["unet"] == DEVICE
    drawn(demo, **choices)
    assert places.beside("text") == {"text", "autoencoder"}


def test_on_a_cpu_low_memory_moves_and_changes_nothing(choices):
    demo = demo_with_a_further_control()
    before = [parameter.data_ptr() for parameter in demo.model.parameters()]
    together, _ = drawn(demo, **choices | dict(num_samples=1))
    alone, _ = drawn(replace(demo, low_memory=True), **choices | dict(num_samples=1))
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(together, alone, strict=True))
    assert [parameter.data_ptr() for parameter in demo.model.parameters()] == before
