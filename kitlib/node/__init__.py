"""The kubelet's role: make the Pods bound to one Node real, and report what became of them."""
