import numpy as np
import pytest

from imitate.measuring.visibility import decoding_errors, typical_distance, visibility

RNG = np.random.default_rng(0)
SIZES = np.array([0.1, 0.2, 0.4])
STILL = np.arange(5)
POSES = RNG.uniform(-1, 1, (5, 3))
MOVED = POSES[:, None, None] + np.eye(3)[None, :, None] * SIZES[None, None, :, None]  # (anchors, joints, sizes, joints)
ALL = np.concatenate([POSES, MOVED.reshape(-1, 3)])
INDEX = 5 + np.arange(45).reshape(5, 3, 3)


def test_an_embedding_sees_what_it_contains():
    seen = visibility(ALL * [1.0, 2.0, 0.0], STILL, INDEX, unit=0.5)
    np.testing.assert_allclose(seen, np.outer([1.0, 2.0, 0.0], SIZES) / 0.5, atol=1e-12)


def test_visibility_does_not_depend_on_the_scale_of_the_embedding():
    def seen(embeddings):
        return visibility(embeddings, STILL, INDEX, typical_distance(embeddings[:5]))

    np.testing.assert_allclose(seen(ALL), seen(7 * ALL))


def test_the_typical_distance_of_two_is_their_distance():
    assert typical_distance(np.array([[0.0, 0.0], [3.0, 4.0]])) == pytest.approx(5.0)


def test_decoding_errors_go_the_shorter_way_round():
    errors = decoding_errors(np.array([[3.1, 0.5], [3.1, -0.5]]), np.array([[-3.1, 0.0], [3.1, 0.0]]))
    np.testing.assert_allclose(errors, [(2 * np.pi - 6.2) / 2, 0.5])
    np.testing.assert_array_equal(decoding_errors(POSES, POSES), np.zeros(3))
