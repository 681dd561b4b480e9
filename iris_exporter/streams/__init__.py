"""One stream put together, and all of them."""
