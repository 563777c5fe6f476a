from __future__ import annotations

import torch
from torch import nn

from adaptbench.adaptation.late_average import LateAverage


def test_it_copies_first_and_averages_then() -> None:
    student = nn.BatchNorm1d(1)
    average = LateAverage(student, begin=2, decay=0.75)
    seen = []
    for iteration, value in enumerate((4.0, 8.0, 16.0, 0.0)):
        with torch.no_grad():
            student.weight.fill_(value)
        student(torch.randn(3, 1))
        average.follow(student, iteration)
        seen.append(float(average.network.weight.detach()))
        assert torch.equal(average.network.running_mean, student.running_mean)
    assert seen == [4.0, 8.0, 0.75 * 8 + 0.25 * 16, 0.75 * 10]


def test_the_first_update_is_a_copy_even_where_averaging_begins_at_once() -> None:
    student = nn.Linear(1, 1)
    average = LateAverage(student, begin=0, decay=0.75)
    nn.init.zeros_(student.weight)
    average.follow(student, 0)
    assert not average.network.weight.any()
