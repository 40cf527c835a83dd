import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.soft_targets import N_BEST, SoftTargets


@settings(deadline=None)
@given(n_tokens=st.integers(1, 30), seed=st.integers(0, 1000), ties=st.booleans())
def test_cls_and_the_best_are_kept_and_the_others_summed(
    n_tokens: int, seed: int, ties: bool
) -> None:
    logits = 4 * torch.randn(2, 3, n_tokens, generator=torch.Generator().manual_seed(seed))
    logits = logits.round() if ties else logits
    logits[:, 1, n_tokens // 2 + 1 :] = -torch.inf  # padding
    probabilities = logits.softmax(dim=-1)
    targets = SoftTargets.of(probabilities)
    for side in range(2):
        for row in range(3):
            whole = probabilities[side, row].tolist()
            best = sorted(range(1, n_tokens), key=lambda token: (-whole[token], token))[:N_BEST]
            best = [token for token in best if whole[token] > 0]
            expected = [0, *best] + [0] * (N_BEST - len(best))
            assert targets.positions[side, row].tolist() == expected
            kept = [whole[0], *(whole[token] for token in best)]
            rest = sum(whole) - sum(kept)
            found = targets.log_probs[side, row].exp().tolist()
            torch.testing.assert_close(found[: len(kept)], kept)
            assert found[len(kept) : -1] == [0] * (N_BEST - len(best))
            assert abs(found[-1] - rest) < 1e-6


def test_targets_move_as_a_whole() -> None:
    moved = SoftTargets.of(torch.full((2, 1, 4), 0.25)).to(torch.device("meta"))
    assert moved.positions.is_meta
    assert moved.log_probs.is_meta
