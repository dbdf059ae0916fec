import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ConstantLR

from imitate.embedding.augmentation import WORSE
from imitate.embedding.batch import reader, recorded
from imitate.embedding.encoders import build_encoder
from imitate.embedding.loss import Loss
from imitate.embedding.objectives import OBJECTIVES
from imitate.embedding.objectives.triplet import TripletLoss
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.sampling import Margins, Videos, triplets
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.embedding.training import PATIENCE, Collapsed, Course, Grain, fit
from imitate.errors import UserError
from imitate.keeping.snapshot import Snapshot
from imitate.measuring.metrics import triplet_accuracy

pytestmark = pytest.mark.slow
SIZE, VIDEOS, LENGTH, STEPS = 32, 12, 40, 60
TRAIN = Videos(np.arange(9) * LENGTH, np.full(9, LENGTH))
HELD_OUT = Videos(np.arange(9, VIDEOS) * LENGTH, np.full(3, LENGTH))
MARGINS = Margins(2, 12)


def squares():
    """Videos of a bright square on noise, which moves along a line; and where it is, as two angles."""
    rng = np.random.default_rng(0)
    ends = rng.uniform(2, SIZE - 8, (VIDEOS, 2, 2))
    way = np.linspace(0, 1, LENGTH)[:, None]
    corners = np.concatenate([a + way * (b - a) for a, b in ends])
    frames = rng.integers(0, 90, (len(corners), SIZE, SIZE, 3), np.uint8)
    for frame, (y, x) in zip(frames, corners.round().astype(int), strict=True):
        frame[y : y + 6, x : x + 6] = 255
    return frames, corners / SIZE


FRAMES, STATE = squares()


def train(objective="triplet", self_regression=0.0, steps=STEPS, seed=0, rate=2e-3, with_head=True, **disturbed):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    _, loss, sample, _ = OBJECTIVES[objective]
    module, head = build_encoder("conv", SIZE), PoseHead(32, 2)
    optimizer = torch.optim.AdamW([*module.parameters(), *head.parameters()], rate)
    batches = (sample(TRAIN, 7, MARGINS, rng) for _ in range(steps))
    learned = Loss(loss(), head if with_head else None, self_regression)
    lessons = recorded(FRAMES, batches, torch.device("cpu"), STATE)
    return module, list(fit(module, learned, lessons, optimizer, ConstantLR(optimizer, 1.0), Course(**disturbed)))


def accuracy(module, videos):
    encoder = TrainedEncoder("conv", module, SIZE, 32, None).to(torch.device("cpu"))
    embeddings = encoder.embed(FRAMES)
    return triplet_accuracy(*embeddings[triplets(videos, 100, MARGINS, np.random.default_rng(1))], margin=2.0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_training_orders_time_also_in_unseen_videos(objective):
    before = accuracy(train(objective, steps=0)[0], HELD_OUT)
    module, progress = train(objective)
    assert len(progress) == STEPS
    assert not module.training
    losses = [step.loss for step in progress]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    assert accuracy(module, HELD_OUT) > before + 0.1


def test_frames_are_read_the_same_from_wherever_they_lie():
    indices = np.array([5, 0, 5, len(FRAMES) - 1])
    lies_there, is_copied = (reader(FRAMES, torch.device("cpu"), room) for room in (FRAMES.nbytes, FRAMES.nbytes - 1))
    assert torch.equal(lies_there(indices), is_copied(indices))
    assert np.array_equal(is_copied(indices), FRAMES[indices])


def test_the_noise_of_batches_is_gaussian_and_differs():
    torch.manual_seed(0)
    grain, shape = Grain((0.5, 0.5)), (20, 16, 16, 3)
    batches = [torch.full(shape, 2.0) for _ in range(8)]
    for batch in batches:
        grain.add_to(batch)
    drawn = torch.stack(batches) - 2
    assert drawn.mean().abs() < 0.01
    assert drawn.std() == pytest.approx(0.5, rel=0.02)
    assert (drawn.abs() < 0.5).float().mean() == pytest.approx(0.683, abs=0.01)
    of_pixels = torch.corrcoef(drawn.reshape(8, -1)) - torch.eye(8)
    assert of_pixels.abs().max() < 0.05
    larger = torch.zeros(60, 16, 16, 3)  # than those before
    grain.add_to(larger)
    assert larger.std() == pytest.approx(0.5, rel=0.02)


def test_frames_have_noise_of_their_own_deviation_within_the_range():
    torch.manual_seed(0)
    frames = torch.zeros(200, 16, 16, 3)
    Grain((0.1, 0.4)).add_to(frames)
    deviations = frames.flatten(1).std(dim=1)
    assert deviations.min() == pytest.approx(0.1, abs=0.02)
    assert deviations.max() == pytest.approx(0.4, abs=0.02)
    assert deviations.mean() == pytest.approx(0.25, abs=0.02)


def test_noise_goes_on_where_it_was():
    torch.manual_seed(0)
    course, other = Course((0.5, 0.5)), Course((0.5, 0.5))
    other.restore(Snapshot.of(course.state()).unpacked(), torch.device("cpu"))  # before there is any
    course.grain.add_to(torch.zeros(4, 8, 8, 3))
    course.alike = 3
    kept, generators = Snapshot.of(course.state()), torch.get_rng_state()
    assert sum(tensor.nbytes for tensor in kept.tensors.values()) < 10_000
    other.restore(kept.unpacked(), torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), generators)
    drawn = []
    for one in (course, other):
        torch.set_rng_state(generators)
        batches = [torch.zeros(shape) for shape in ((4, 8, 8, 3), (2, 8, 8, 3), (9, 8, 8, 3))]
        for batch in batches:
            one.grain.add_to(batch)
        drawn.append(torch.cat(batches))
    assert torch.equal(*drawn)
    assert other.alike == 3


def test_noise_in_training_makes_the_embedding_move_less_with_noise():
    disturbed = FRAMES.astype(float) + np.random.default_rng(0).normal(0, 15, FRAMES.shape)
    disturbed = disturbed.round().clip(0, 255).astype(np.uint8)

    def moved(noise):
        encoder = TrainedEncoder("conv", train("infonce", noise=(noise, noise))[0], SIZE, 32, None).to(
            torch.device("cpu")
        )
        clean, noisy = encoder.embed(FRAMES), encoder.embed(disturbed)
        spread = np.linalg.norm(clean[:, None] - clean[None], axis=-1).mean()
        return np.linalg.norm(clean - noisy, axis=-1).mean() / spread

    assert moved(0.3) < 0.7 * moved(0.0)


def test_augmentation_makes_the_embedding_move_less_with_light():
    darker = (0.7 * FRAMES).round().astype(np.uint8)

    def moved(domain):
        module, _ = train("infonce", domain=domain)
        encoder = TrainedEncoder("conv", module, SIZE, 32, None).to(torch.device("cpu"))
        clean, dark = encoder.embed(FRAMES), encoder.embed(darker)
        spread = np.linalg.norm(clean[:, None] - clean[None], axis=-1).mean()
        return np.linalg.norm(clean - dark, axis=-1).mean() / spread

    assert moved(WORSE) < 0.7 * moved(None)


def test_equal_seeds_give_equal_training():
    (a, first), (b, second), (_, other) = train(steps=8), train(steps=8), train(steps=8, seed=1)
    assert first == second
    assert first != other
    for key, value in a.state_dict().items():
        torch.testing.assert_close(b.state_dict()[key], value, rtol=0, atol=0)


def test_self_regression_learns_the_state_and_is_part_of_the_loss():
    _, progress = train("infonce", self_regression=20.0, steps=40)
    for step in progress:
        assert step.loss == pytest.approx(step.contrastive + 20.0 * step.self_regression, rel=1e-4)
    assert np.mean([s.self_regression for s in progress[-5:]]) < 0.5 * progress[0].self_regression


def test_a_head_that_only_reads_teaches_the_encoder_nothing():
    reading, progress = train("infonce", steps=40)
    alone, _ = train("infonce", steps=40, with_head=False)
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(reading.state_dict()[key], value, rtol=0, atol=0)
    assert np.mean([s.self_regression for s in progress[-5:]]) < 0.8 * progress[0].self_regression


class Stub(nn.Module):
    """Gives all frames of a step the embedding ``same(step)``, or, where that is None, one each."""

    def __init__(self, same):
        super().__init__()
        self.same, self.steps = same, 0
        self.vector = nn.Parameter(torch.ones(8))

    def forward(self, images):
        factor = self.same(self.steps)
        self.steps += 1
        each = torch.arange(1.0, len(images) + 1) if factor is None else torch.full((len(images),), factor)
        return each[:, None] * self.vector


def fit_stub(same, steps):
    stub, rng = Stub(same), np.random.default_rng(0)
    optimizer = torch.optim.SGD(stub.parameters(), 1e-9)
    batches = (triplets(TRAIN, 1, MARGINS, rng) for _ in range(steps))
    lessons = recorded(FRAMES, batches, torch.device("cpu"))
    for _ in fit(stub, Loss(TripletLoss()), lessons, optimizer, ConstantLR(optimizer, 1.0)):
        pass
    return stub.steps


def test_a_collapsed_run_stops():
    steps = []
    with pytest.raises(Collapsed, match=rf"for {PATIENCE} steps all embeddings were alike") as caught:
        fit_stub(lambda step: steps.append(step) or 1.0, 2 * PATIENCE)
    assert len(steps) == PATIENCE
    assert isinstance(caught.value, UserError)


def test_embeddings_may_be_alike_for_a_while():
    steps = 3 * PATIENCE
    assert fit_stub(lambda step: None if step % PATIENCE == PATIENCE - 1 else 1.0, steps) == steps


def test_a_loss_that_is_no_number_stops_the_run():
    steps = []
    with pytest.raises(Collapsed, match="the loss became nan"):
        fit_stub(lambda step: steps.append(step) or (float("nan") if step == 2 else None), 10)
    assert len(steps) == 3
