"""A loss sequence on fixed weights: it changes only when the model does."""

import torch

from tests.helpers.tiny import batch, build_model

GOLDEN = [40.7872, 34.0972, 29.8364]


def test_golden_losses():
    model = build_model().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images, samples = batch([2, 0, 3])
    losses = []
    for _ in range(3):
        loss = sum(model.loss(images, samples).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(round(loss.item(), 4))
    torch.testing.assert_close(torch.tensor(losses), torch.tensor(GOLDEN), atol=2e-3, rtol=0)
