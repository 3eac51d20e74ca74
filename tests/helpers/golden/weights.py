"""Weights and inputs that follow from names and shapes, by numpy's frozen legacy stream."""

import zlib

import numpy as np
import torch

PREFIXES = ("model.diffusion_model.", "control_model.", "first_stage_model.")


def random_state(name):
    return np.random.RandomState(zlib.crc32(name.encode()))


def weight(key, shape):
    """Kernels of unit gain (the "zero" ones too), norm scales around 1, biases around 0."""
    z = random_state(key).standard_normal(tuple(shape))
    if len(shape) >= 2:
        z = z / np.sqrt(float(np.prod(shape[1:])))
    else:
        z = 1.0 + 0.1 * z if key.endswith(".weight") else 0.1 * z
    return torch.from_numpy(z.astype(np.float32))


def golden_state(model):
    """The model's state dict with its networks' weights replaced."""
    state = model.state_dict()
    return {k: weight(k, v.shape) if k.startswith(PREFIXES) else v.clone() for k, v in state.items()}


def normal(name, *shape):
    return torch.from_numpy(random_state(name).standard_normal(shape).astype(np.float32))


def uniform(name, *shape):
    return torch.from_numpy(random_state(name).random_sample(shape).astype(np.float32))


def projection(key, gradient):
    """A gradient's scalar product with a random direction, in fp64: sees permutations, as a norm does not."""
    return float((gradient * random_state("proj:" + key).standard_normal(gradient.shape)).sum())
