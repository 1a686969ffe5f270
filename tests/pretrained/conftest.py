"""Small encoders that tests of this folder share."""

import pytest

from tests.pretrained.small_encoders import Net, make_net


@pytest.fixture(scope="session")
def resnet() -> Net:
    return make_net("resnet50")


@pytest.fixture(scope="session")
def resnet_v1_5() -> Net:
    return make_net("resnet50_v1_5")


@pytest.fixture(scope="session")
def efficientnet() -> Net:
    return make_net("efficientnet_b4")


@pytest.fixture(scope="session")
def convnext() -> Net:
    return make_net("convnext_tiny")
