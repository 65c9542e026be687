"""What the tests are built of."""
