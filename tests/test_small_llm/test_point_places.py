"""The place of a point along the polygon of its object."""

import torch

from visionllm_mm.small_llm.point_places import PointPlaces


def test_fewer_than_three_points_have_no_polygon():
    places = PointPlaces(32, max_points=24)
    torch.nn.init.normal_(places.polygon.weight)
    inputs = torch.randn(3, 2, 32)
    embedded = places(inputs, torch.tensor([2, 3, 1]), 3)
    assert not embedded[[0, 2]].any() and embedded[1].abs().min() > 0


def test_point_places_start_as_nothing_and_differ_from_point_to_point():
    places = PointPlaces(32, max_points=24)
    inputs, counts = torch.randn(2, 3, 32), torch.tensor([8, 16])
    assert places(inputs, counts, 16).shape == (2, 3 * 16 * 2, 32)
    assert not places(inputs, counts, 16).any()
    torch.nn.init.normal_(places.projection.weight)
    embedded = places(inputs, counts, 16).unflatten(1, (3, 16, 2))[:, 0, :, 0]
    flat = embedded.flatten(0, 1)[:8].detach()
    assert torch.cdist(flat, flat).add(torch.eye(8) * 9).min() > 1
    # A quarter of the way around is the third of eight points and the fifth of 16; only N differs.
    torch.testing.assert_close(embedded[0, 2] - embedded[0, 0], embedded[1, 4] - embedded[1, 0], atol=1e-4, rtol=1e-4)


def test_polygons_differ_from_token_to_token():
    places = PointPlaces(32, max_points=24)
    torch.nn.init.normal_(places.polygon.weight)
    inputs, counts = torch.randn(1, 2, 32).repeat(2, 1, 1), torch.tensor([8, 8])
    embedded = places(inputs, counts, 8).unflatten(1, (2, 8, 2)).detach()
    torch.testing.assert_close(embedded[0], embedded[1])
    # Two tokens, eight points and two axes: all 32 are different.
    flat = embedded[0].flatten(0, 2)
    assert torch.cdist(flat, flat).add(torch.eye(32) * 9).min() > 1
    # Of one token there is nothing that another brings in.
    alone = places(inputs[:, 1:], counts, 8).unflatten(1, (1, 8, 2))
    torch.testing.assert_close(alone[:, 0], embedded[:, 1])
