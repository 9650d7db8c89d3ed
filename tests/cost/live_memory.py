"""Bytes of activations alive at once, measured from the storages that operators return."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveStorages(TorchDispatchMode):
    """Adds up the storages of tensors that depend on the image, while they live.

    What is made from weights alone (folded norms, joined maps of the head) is no activation.
    """

    def __init__(self, image):
        super().__init__()
        self.now = self.peak = 0
        self.alive = {}
        self.add(image)

    def add(self, tensor):
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self.alive:
            return

        def gone(_):
            self.now -= size
            del self.alive[key]

        self.alive[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        leaves = [x for x in tree_leaves((args, kwargs or {})) if isinstance(x, torch.Tensor)]
        from_image = any(x.untyped_storage()._cdata in self.alive for x in leaves)
        result = func(*args, **(kwargs or {}))
        if from_image:
            for tensor in tree_leaves(result):
                if isinstance(tensor, torch.Tensor):
                    self.add(tensor)
        return result


def peak_activation_bytes(model, image_size):
    image = torch.zeros(1, 3, *image_size)
    model.eval()
    with torch.no_grad(), LiveStorages(image) as storages:
        model(image)
    return storages.peak
