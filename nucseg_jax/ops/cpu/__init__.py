"""Forms of operations that run faster on XLA's CPU backend; `ops.lowering` chooses them, nothing else asks for CPU."""
