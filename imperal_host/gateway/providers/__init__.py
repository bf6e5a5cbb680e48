"""Wire dialects: a module each, no I/O, no key; and the vendors that speak them, a row of data each."""
