"""A registry of images: the server that keeps them, and the client that fetches and sends.

    repositories.py   which repository has which blobs, manifests and tags
    server.py         the distribution API over HTTP, on loopback
    body.py           a request's body, errors.py what is refused
    client.py         pull and push, as docker and containerd do it
"""
