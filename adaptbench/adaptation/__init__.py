"""Building blocks of adaptation methods: one idea per file, each a pure function or a tiny class."""
