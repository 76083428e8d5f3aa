import torch

from finetune.shards import gathered, like


def test_whole_tensors_are_kept_by_those_who_want_them() -> None:
    tensors = {"a": torch.ones(2, 3).t(), "b": torch.zeros((), requires_grad=True)}
    kept = gathered(tensors.items(), keep=True)
    assert {name: tensor.tolist() for name, tensor in kept.items()} == {"a": [[1.0, 1.0]] * 3, "b": 0.0}
    assert all(tensor.is_contiguous() and not tensor.requires_grad for tensor in kept.values())
    assert gathered(tensors.items(), keep=False) == {}


def test_who_has_no_tensor_gets_room_for_it() -> None:
    other = torch.empty(3, 2, dtype=torch.bfloat16, device="meta")
    for tensor in (None, torch.ones(3, 2, dtype=torch.bfloat16)):
        found = like(tensor, other)
        assert (found.shape, found.dtype, found.device) == (other.shape, other.dtype, other.device)
