from __future__ import annotations

from made_records import camvid_record, record, records  # noqa: F401 - fixtures
from small_worlds import official, small_world  # noqa: F401 - fixtures
from stored_job import job  # noqa: F401 - a fixture
