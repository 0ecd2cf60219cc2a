"""`argand.fx.experimental`: what libraries import of PyTorch's tracing by proxies."""
