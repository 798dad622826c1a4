"""What tests are built from: real servers, real processes, and a way to wait without sleeping."""

from tests.harness.waiting import eventually as eventually
