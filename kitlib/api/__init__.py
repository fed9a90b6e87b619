"""kube-apiserver's role: the only door to the store.  `api.server.ApiServer.handle` is all of it."""
