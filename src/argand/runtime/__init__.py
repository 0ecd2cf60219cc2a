"""What runs under compiled code: memory, loaded kernels, threads. It holds addresses, makes no code."""
