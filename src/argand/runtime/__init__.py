"""What runs under compiled code: memory, loaded kernels, threads. It makes no code itself."""
