"""A model that one GPU cannot hold: its weights shared among the workers, and gathered layer by layer as it runs.

PyTorch's fully sharded data parallelism (`fully_shard`). Every worker must run the model as often as the others do.
What it takes of PyTorch is imported where it is used: that costs two seconds, which those who share nothing are spared.
"""

from typing import Any

from torch import Tensor, nn

from fdistill.models.language_model import LanguageModel
from fdistill.runtime.distributed import Ranks


class _Root(nn.Module):
    """Runs work on `module`. As its forward pass, so that the weights that are in no layer are at hand, too."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, work: Any) -> Any:
        return work()


def shard(model: LanguageModel, ranks: Ranks) -> None:
    """Share the weights of `model` among the workers; one that is alone keeps them. Gradients are summed over them."""
    if ranks.world_size == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(model.device.type, (ranks.world_size,))
    for stack in model.family.stacks.values():
        for layer in model.module.get_submodule(stack.modules):
            fully_shard(layer, mesh=mesh)
    root = fully_shard(_Root(model.module), mesh=mesh, reshard_after_forward=True)
    for part in root.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)  # our losses have the whole batch's denominator
            part.set_force_sum_reduction_for_comms(True)
    model.run, model.is_sharded = root, True


# The states of a shared model and of its optimiser, whole, in the first worker's memory (CPU); the others get nothing.
# They are to be asked for, and put back, by all workers together.


def weights(module: nn.Module) -> dict[str, Tensor]:
    """The model's weights."""
    from torch.distributed.checkpoint import state_dict as whole

    return whole.get_model_state_dict(module, options=whole.StateDictOptions(**_GET))


def load_weights(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Put back what `weights` gave to the first worker."""
    from torch.distributed.checkpoint import state_dict as whole

    whole.set_model_state_dict(module, state, options=whole.StateDictOptions(**_SET))


def optimizer_state(module: nn.Module, optimizer: Any) -> dict[str, Any]:
    """The optimiser's state."""
    from torch.distributed.checkpoint import state_dict as whole

    return whole.get_optimizer_state_dict(module, optimizer, options=whole.StateDictOptions(**_GET))


def load_optimizer_state(module: nn.Module, optimizer: Any, state: dict[str, Any]) -> None:
    """Put back what `optimizer_state` gave to the first worker."""
    from torch.distributed.checkpoint import state_dict as whole

    whole.set_optimizer_state_dict(module, optimizer, state, options=whole.StateDictOptions(**_SET))


_GET = {"full_state_dict": True, "cpu_offload": True}
_SET = {"full_state_dict": True, "broadcast_from_rank0": True}
