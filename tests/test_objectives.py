import pytest
import torch

from imitate.embedding.objectives import OBJECTIVES
from imitate.embedding.objectives.infonce import InfoNCE
from imitate.embedding.objectives.likeness import Likeness
from imitate.embedding.objectives.triplet import TripletLoss
from imitate.embedding.objectives.video_infonce import VideoInfoNCE
from imitate.errors import UserError, choose


def embeddings(count, groups):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(count, 8, generator=generator) for _ in range(groups)]


def test_triplet_loss_equals_a_naive_one():
    anchor, positive, negative = embeddings(16, 3)
    naive = 0.0
    for a, p, n in zip(anchor, positive, negative, strict=True):
        naive += max(0.0, 2.0 + float(((a - p) ** 2).sum()) - float(((a - n) ** 2).sum()))
    assert float(TripletLoss(2.0)(anchor, positive, negative)) == pytest.approx(naive / 16, rel=1e-5)


def test_triplet_loss_is_zero_where_the_margin_is_kept():
    anchor = torch.zeros(1, 2)
    far = torch.tensor([[2.0, 0.0]])
    loss = TripletLoss(margin=2.0)
    assert float(loss(anchor, anchor, far)) == 0.0
    assert float(loss.active(anchor, anchor, far)) == 0.0
    assert float(loss(anchor, far, anchor)) == pytest.approx(6.0)
    assert float(loss.active(anchor, far, anchor)) == 1.0


def test_infonce_equals_a_naive_one():
    anchor, positive = embeddings(6, 2)
    naive = 0.0
    for i in range(6):
        row = torch.stack([-((anchor[i] - positive[j]) ** 2).sum() / 3.0 for j in range(6)])
        column = torch.stack([-((anchor[j] - positive[i]) ** 2).sum() / 3.0 for j in range(6)])
        naive -= 0.5 * float(row.log_softmax(0)[i] + column.log_softmax(0)[i])
    assert float(InfoNCE(3.0)(anchor, positive)) == pytest.approx(naive / 6, rel=1e-4)


def test_video_infonce_is_infonce_of_each_video():
    anchors, positives = (torch.stack(embeddings(3, 8)[k : k + 4]) for k in (0, 4))  # (4 samples, 3 videos, dim)
    each = [float(InfoNCE(3.0)(anchors[:, video], positives[:, video])) for video in range(3)]
    loss = VideoInfoNCE(3.0)
    assert float(loss(*anchors, *positives)) == pytest.approx(sum(each) / 3, rel=1e-5)
    apart = torch.arange(3)[:, None] * 100.0  # what tells videos apart changes nothing
    moved = [group + apart for group in (*anchors, *positives)]
    assert float(loss(*moved)) == pytest.approx(sum(each) / 3, rel=1e-3)
    active = [float(InfoNCE().active(anchors[:, video], positives[:, video])) for video in range(3)]
    assert float(loss.active(*anchors, *positives)) == pytest.approx(sum(active) / 3)


def test_infonce_is_symmetric_and_takes_a_batch_of_one():
    anchor, positive = embeddings(6, 2)
    loss = InfoNCE()
    assert float(loss(anchor, positive)) == pytest.approx(float(loss(positive, anchor)), rel=1e-5)
    assert float(loss(anchor[:1], positive[:1])) == 0.0


def test_an_unknown_objective_lists_the_choices():
    with pytest.raises(UserError, match="unknown objective 'tripplet': choose one of infonce, triplet, video_infonce"):
        choose(OBJECTIVES, "tripplet", "objective")


def test_likeness_is_half_of_the_squared_distance_from_the_teacher():
    student, teacher = embeddings(6, 2)
    naive = sum(0.5 * float(((student[k] - teacher[k]) ** 2).sum()) for k in range(6))
    assert float(Likeness()(student, teacher)) == pytest.approx(naive / 6, rel=1e-5)
    assert float(Likeness()(teacher, teacher)) == 0.0
    assert float(Likeness().active(teacher, teacher)) == 0.0
    assert float(Likeness().active(teacher.roll(1, 0), teacher)) == 1.0
