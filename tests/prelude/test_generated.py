"""Every definition, compiled: values, gradients and second derivatives at many sizes."""

from __future__ import annotations

import pytest

from tests.prelude.checks import Subject
from tests.prelude.optimizing import Optimizing, optimizers
from tests.prelude.subjects import subjects

SUBJECTS = list(subjects())
ALL = [*SUBJECTS, *optimizers()]
IDS = [*(f"{s.room}: {s.label}" for s in SUBJECTS), *(o.name for o in optimizers())]


@pytest.mark.parametrize("subject", ALL, ids=IDS)
def test_values(subject: Subject | Optimizing) -> None:
    compared = isinstance(subject, Optimizing) or subject.reference is not None
    assert (subject.values() > 0) == compared


@pytest.mark.parametrize("subject", ALL, ids=IDS)
def test_gradients(subject: Subject | Optimizing) -> None:
    assert subject.gradients() > 0


@pytest.mark.parametrize("subject", ALL, ids=IDS)
def test_second_derivatives(subject: Subject | Optimizing) -> None:
    assert subject.second_derivatives() > 0
