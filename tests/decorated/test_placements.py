"""A decorated thing binds as the undecorated one, in every placement."""

import pytest

pytestmark = pytest.mark.usefixtures("_nothing_left_running")
