"""Addresses, kube-proxy and DNS of the embedded cluster."""
