"""FSDP for models that do not fit on one GPU: each rank holds a shard of the weights.

PyTorch's fully sharded data parallelism (`fully_shard`) gathers the weights layer by layer as the model runs. Each
forward pass is therefore a collective operation: every rank must run the model equally often. PyTorch's modules for it
are imported inside the functions, because their import takes two seconds that other jobs save.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from fdistill.models.language_model import LanguageModel
from fdistill.runtime.distributed import Ranks


class _Root(nn.Module):
    """Calls functions inside its own forward pass, for which FSDP gathers the weights that belong to no layer."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, function: Callable[[], Any]) -> Any:
        return function()


def shard(model: LanguageModel, ranks: Ranks) -> None:
    """Shard the weights of `model` over `ranks`, in place; with one rank, leave it as it is. Gradients are summed."""
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
            part.set_gradient_divide_factor(1.0)  # the losses are already divided by the positions of the whole batch
            part.set_force_sum_reduction_for_comms(True)
    model.run, model.is_sharded = root, True


# The functions below gather the states of a sharded model and of its optimiser, unsharded, in the CPU memory of rank 0;
# other ranks get an empty state. They are collective operations: all ranks must call them.


def weights(module: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a sharded model: all of them on rank 0, none on the others."""
    from torch.distributed.checkpoint import state_dict as full_state

    return full_state.get_model_state_dict(module, options=full_state.StateDictOptions(**_GET))


def load_weights(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Load the weights that `weights` returned on rank 0."""
    from torch.distributed.checkpoint import state_dict as full_state

    full_state.set_model_state_dict(module, state, options=full_state.StateDictOptions(**_SET))


def optimizer_state(module: nn.Module, optimizer: Any) -> dict[str, Any]:
    """Return the state of a sharded model's optimiser: all of it on rank 0, nothing on the others."""
    from torch.distributed.checkpoint import state_dict as full_state

    return full_state.get_optimizer_state_dict(module, optimizer, options=full_state.StateDictOptions(**_GET))


def load_optimizer_state(module: nn.Module, optimizer: Any, state: dict[str, Any]) -> None:
    """Load the state that `optimizer_state` returned on rank 0."""
    from torch.distributed.checkpoint import state_dict as full_state

    full_state.set_optimizer_state_dict(module, optimizer, state, options=full_state.StateDictOptions(**_SET))


_GET = {"full_state_dict": True, "cpu_offload": True}
_SET = {"full_state_dict": True, "broadcast_from_rank0": True}
