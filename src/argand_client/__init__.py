"""A client of `argand serve`, of Triton, of KServe and of other servers of the v2 protocol."""
