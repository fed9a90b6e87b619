"""What runs containers: the Container Runtime Interface (`cri.py`) and the runtimes behind it.

Nothing here knows the API, the store or a Pod's spec: the kubelet (`kitlib.node`) translates.  This file imports
nothing, because the runtime daemon starts from it in some thirty milliseconds.
"""
