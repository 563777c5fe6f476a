"""Networks for other programs: what they hold, and what must be done before and after them."""
